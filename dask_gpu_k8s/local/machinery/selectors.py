"""Label and field selectors: from the text in a query to a test on objects.

Source: Kubernetes' documentation, "Labels and Selectors" and "Field Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from dask_gpu_k8s.api.types import Manifest

Test = Callable[[Manifest], bool]

_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"[-A-Za-z0-9_.]*"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s+\(([^()]*)\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_NUMBER = re.compile(rf"({_KEY})\s*([<>])\s*(-?\d+)")


class BadSelector(ValueError):
    """The text is no selector; the message says why."""


def parse_labels(text: str) -> Callable[[Mapping[str, str]], bool]:
    """Turn a label selector into a test on an object's labels.

    Parameters
    ----------
    text : str
        e.g. ``"app=demo,tier!=cache,env in (a,b),!old"``; empty selects everything.

    Raises
    ------
    BadSelector
        If it cannot be read.
    """
    tests = [_requirement(part) for part in _split(text)]
    return lambda labels: all(test(labels) for test in tests)


def _split(text: str) -> list[str]:
    """Cut at the commas that are not inside parentheses."""
    if not text.strip():
        return []
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)]


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _SET.fullmatch(part):
        key, operator, inside = match.groups()
        values = {value.strip() for value in inside.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.fullmatch(part):
        key, operator, value = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _NUMBER.fullmatch(part):
        return _compare(*match.groups())
    if match := _EXISTS.fullmatch(part):
        absent, key = match.groups()
        return lambda labels: (key in labels) != bool(absent)
    raise BadSelector(f"unable to parse requirement: found '{part}', expected: '=', '!=', '==', 'in', notin'")


def _compare(key: str, operator: str, number: str) -> Callable[[Mapping[str, str]], bool]:
    limit = int(number)

    def test(labels: Mapping[str, str]) -> bool:
        try:
            value = int(labels[key])
        except (KeyError, ValueError):
            return False
        return value < limit if operator == "<" else value > limit

    return test


def parse_fields(text: str) -> list[tuple[str, str, bool]]:
    r"""Turn a field selector into (path, value, wanted) triples; ``wanted`` is False for ``!=``.

    A backslash quotes a comma, an equals sign or itself in a value.

    Raises
    ------
    BadSelector
        If a part has no operator.
    """
    found = []
    for part in re.split(r"(?<!\\),", text) if text else []:
        match = re.fullmatch(r"([^=!]+)(==|=|!=)(.*)", part, re.DOTALL)
        if not match:
            raise BadSelector(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = match.groups()
        found.append((path, re.sub(r"\\(.)", r"\1", value), operator != "!="))
    return found


def field_value(obj: Manifest, path: str) -> str:
    """Read a field for a field selector; what is absent counts as empty."""
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_for(labels: str, fields: str, known_fields: Mapping[str, str]) -> Test | None:
    """Make one test of both selectors.

    Parameters
    ----------
    labels, fields : str
        The selectors, possibly empty.
    known_fields : mapping of str to str
        Field labels that the kind offers, and the path that each one reads.

    Returns
    -------
    callable or None
        ``None`` if everything is selected.

    Raises
    ------
    BadSelector
        If one cannot be read, or names a field that the kind does not offer.
    """
    wanted = parse_fields(fields)
    for path, _, _ in wanted:
        if path not in known_fields:
            raise BadSelector(f"field label not supported: {path}")
    if not labels.strip() and not wanted:
        return None
    has_labels = parse_labels(labels)
    read = [(known_fields[path], value, equal) for path, value, equal in wanted]

    def test(obj: Manifest) -> bool:
        if not has_labels(obj["metadata"].get("labels") or {}):
            return False
        return all((field_value(obj, path) == value) == equal for path, value, equal in read)

    return test
