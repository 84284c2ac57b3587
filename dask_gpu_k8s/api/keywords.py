"""The keywords of a schema that look at one value: for each, what is wrong with the value, or ``None``.

As in JSON Schema, a keyword says nothing about values of another type than its own.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dask_gpu_k8s.api.names import CLUSTER_NAME_PATTERN
from dask_gpu_k8s.api.quantity import QUANTITY_PATTERN


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Elsewhere a final $ is the end of the text; Python's also matches before a last newline.
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        pattern = pattern[:-1] + r"\Z"
    return re.compile(pattern)


_HINTS = {
    QUANTITY_PATTERN: "must be a quantity, such as '500m', '2' or '4Gi'",
    CLUSTER_NAME_PATTERN: (
        "must start with a lower-case letter, end with a letter or digit, and hold only lower-case letters, "
        "digits and '-'"
    ),
}
"""What a pattern means in words, for the patterns that our own schemas use."""


def _pattern(pattern: str, value: Any) -> str | None:
    if not isinstance(value, str) or _compiled(pattern).search(value):
        return None
    return _HINTS.get(pattern, f"must match '{pattern}'")


def _format(name: str, value: Any) -> str | None:
    if name == "int32" and isinstance(value, int):
        return None if -(2**31) <= value < 2**31 else "does not fit into 32 bits"
    if name == "int64" and isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else "does not fit into 64 bits"
    if name == "date-time" and isinstance(value, str):
        return None if _DATE_TIME.fullmatch(value) else "must be a time such as 2026-01-31T12:00:00Z"
    if name == "byte" and isinstance(value, str):
        return _base64_problem(value)
    return None


_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _base64_problem(value: str) -> str | None:
    try:
        base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return "must be base64"
    return None


def _enum(allowed: list[Any], value: Any) -> str | None:
    if value in allowed:
        return None
    return f"supported values: {', '.join(json.dumps(item) for item in allowed)}"


def _bound(
    wrong: Callable[[Any, Any], bool], kinds: tuple[type, ...], text: str
) -> Callable[[Any, Any], str | None]:
    """Make the check of one limit on numbers, or on the size of strings, lists or objects."""

    def check(limit: Any, value: Any) -> str | None:
        if not isinstance(value, kinds) or isinstance(value, bool) or not wrong(value, limit):
            return None
        return text.format(limit=limit)

    return check


_NUMBERS = (int, float)
RULES: dict[str, Callable[[Any, Any], str | None]] = {
    "enum": _enum,
    "pattern": _pattern,
    "format": _format,
    "minimum": _bound(lambda v, n: v < n, _NUMBERS, "must be at least {limit}"),
    "maximum": _bound(lambda v, n: v > n, _NUMBERS, "must be at most {limit}"),
    "multipleOf": _bound(lambda v, n: v % n != 0, _NUMBERS, "must be a multiple of {limit}"),
    "minLength": _bound(lambda v, n: len(v) < n, (str,), "must be at least {limit} characters long"),
    "maxLength": _bound(lambda v, n: len(v) > n, (str,), "must be at most {limit} characters long"),
    "minItems": _bound(lambda v, n: len(v) < n, (list,), "must have at least {limit} items"),
    "maxItems": _bound(lambda v, n: len(v) > n, (list,), "must have at most {limit} items"),
    "minProperties": _bound(lambda v, n: len(v) < n, (dict,), "must have at least {limit} fields"),
    "maxProperties": _bound(lambda v, n: len(v) > n, (dict,), "must have at most {limit} fields"),
}
"""Keyword of the schema: check of (what the schema says, the value)."""
