"""Kubernetes quantities: numbers with a suffix, such as ``500m``, ``2`` or ``4Gi``.

Source: Kubernetes' API reference, "Quantity".
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal, InvalidOperation

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""What Kubernetes puts as pattern where a CRD holds a quantity."""

_FORM = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]+))?"
)
_BINARY = {
    suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL = {suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("num", -3)}
_DECIMAL |= {suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("kMGTPE", 1)}
_FACTORS = _BINARY | _DECIMAL
_SMALLEST = Decimal("1e-9")


def parse_quantity(value: str | int | float) -> Decimal:
    """Turn a quantity into a number.

    Parameters
    ----------
    value : str, int or float
        As it stands in a manifest, e.g. ``"500m"``, ``"4Gi"``, ``1``.

    Returns
    -------
    decimal.Decimal
        In base units: cores, bytes, pieces.

    Raises
    ------
    ValueError
        If `value` is not a quantity; the message is a sentence.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value!r} is not a quantity: give a number or text such as '500m', '2' or '4Gi'")
    match = _FORM.fullmatch(str(value))
    if match is None:
        raise ValueError(f"{value!r} is not a quantity: write for instance '500m', '2' or '4Gi'")
    try:
        number = Decimal(match["number"])
        if match["exponent"]:
            return number.scaleb(int(match["exponent"]))
        return number * _FACTORS.get(match["suffix"] or "", Decimal(1))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a quantity: it is too large") from None


def format_quantity(number: Decimal) -> str:
    """Write a number in Kubernetes' canonical decimal form: no fraction, the largest suffix that allows it.

    Parameters
    ----------
    number : decimal.Decimal
        In base units. Finer than a billionth is rounded up, as Kubernetes does.
    """
    number = number.quantize(_SMALLEST, ROUND_CEILING) if number % _SMALLEST else number
    if not number:
        return "0"
    for suffix in ("E", "P", "T", "G", "M", "k"):
        if number % _DECIMAL[suffix] == 0:
            return f"{int(number / _DECIMAL[suffix])}{suffix}"
    if number % 1 == 0:
        return str(int(number))
    for suffix in ("m", "u"):
        if number % _DECIMAL[suffix] == 0:
            return f"{int(number / _DECIMAL[suffix])}{suffix}"
    return f"{int(number / _DECIMAL['n'])}n"


def canonical(value: str | int | float) -> str:
    """Write a quantity as an API server stores it: ``1`` becomes ``"1"``, ``"0.5"`` becomes ``"500m"``.

    The kind of suffix stays: ``"1.5Gi"`` becomes ``"1536Mi"``, not a decimal number of bytes.

    Raises
    ------
    ValueError
        As `parse_quantity` does.
    """
    number = parse_quantity(value)
    if not (isinstance(value, str) and value.endswith("i")):
        return format_quantity(number)
    for suffix, factor in reversed(_BINARY.items()):
        if number % factor == 0 and number:
            return f"{int(number / factor)}{suffix}"
    return format_quantity(number)
