"""The little JSONPath that CRDs use: fields, quoted fields, indexes, wildcards and equality filters.

Source: Kubernetes' documentation, "JSONPath Support", as far as printer columns and scale paths need it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""
    \.(?P<field>(?:[^.\[\\]|\\.)+)
  | \[(?P<index>-?\d+)\]
  | \[(?P<all>\*)\]
  | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]
  | \[\?\(@\.(?P<key>[\w./\\-]+)\s*==\s*(?P<q>["'])(?P<value>.*?)(?P=q)\)\]
    """,
    re.VERBOSE,
)


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[dict[str, str], ...]:
    steps, at = [], 0
    text = path if path.startswith((".", "[")) else f".{path}"
    while at < len(text):
        match = _STEP.match(text, at)
        if not match:
            raise ValueError(f"cannot read the JSONPath {path!r} at {text[at:]!r}")
        steps.append({key: value for key, value in match.groupdict().items() if value is not None})
        at = match.end()
    return tuple(steps)


def check_path(path: str) -> str | None:
    """Say what is wrong with a path, or None."""
    try:
        _steps(path)
    except ValueError as error:
        return str(error)
    return None


def find(obj: Any, path: str) -> list[Any]:
    """Return all values at a path; none if there is nothing.

    Raises
    ------
    ValueError
        If the path cannot be read.
    """
    found = [obj]
    for step in _steps(path):
        found = [below for value in found for below in _below(value, step)]
    return found


def _below(value: Any, step: dict[str, str]) -> list[Any]:
    if "field" in step or "quoted" in step:
        name = re.sub(r"\\(.)", r"\1", step["field"]) if "field" in step else step["quoted"]
        if name == "*":
            return list(value.values()) if isinstance(value, dict) else list(value or ())
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    if "index" in step:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    if "all" in step:
        return value
    return [item for item in value if isinstance(item, dict) and str(item.get(step["key"])) == step["value"]]


def dotted(path: str) -> tuple[str, ...]:
    """Cut a plain path such as ``.spec.replicas`` into its fields."""
    return tuple(part for part in path.split(".") if part)


def get_in(obj: Any, path: str) -> Any:
    """Read a plain path; None where it ends."""
    for part in dotted(path):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def with_value(obj: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return an object with the value at a plain path set."""
    first, *rest = dotted(path)
    below = obj.get(first)
    if rest:
        value = with_value(below if isinstance(below, dict) else {}, ".".join(rest), value)
    return {**obj, first: value}
