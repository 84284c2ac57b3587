"""Merge a patch into an object: RFC 7386 JSON merge patch, and Kubernetes' strategic merge patch.

Source of the latter: Kubernetes' "Strategic Merge Patch" in its API conventions: ``$patch``,
``$retainKeys``, ``$deleteFromPrimitiveList/<field>``, ``$setElementOrder/<field>``, and lists of objects
merged by the key that the schema names.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from dask_gpu_k8s.api.types import Manifest

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386): objects merge, null deletes, everything else replaces.

    Parameters
    ----------
    target, patch : object
        JSON data; neither is changed.

    Returns
    -------
    object
        The result, sharing nothing with `patch`.
    """
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_merge(schema: Manifest, target: Manifest, patch: Manifest) -> Manifest:
    """Apply a strategic merge patch.

    Parameters
    ----------
    schema : dict
        Schema of `target`, with ``x-kubernetes-patch-merge-key`` and ``x-kubernetes-patch-strategy``, or
        the ``x-kubernetes-list-map-keys`` of a CRD. A list it says nothing about is replaced.
    target, patch : dict
        Neither is changed.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the patch asks for something that does not exist, or leaves out a merge key.
    """
    return _merge_object(schema, target, patch)


def _merge_object(schema: Manifest, target: Manifest, patch: Manifest) -> Manifest:
    directive = patch.get(_PATCH)
    if directive not in (None, "replace", "delete", "merge"):
        raise ValueError(f"unknown $patch directive {directive!r}: there are replace, delete and merge")
    if directive == "delete":
        return {}
    if directive == "replace":
        return _object_without_directives(patch)
    merged = dict(target)
    if _RETAIN in patch:
        merged = {key: value for key, value in merged.items() if key in patch[_RETAIN]}
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(_field(schema, key), merged, key, value)
    _merge_lists(schema, merged, patch)
    return merged


def _field(schema: Manifest, key: str) -> Manifest:
    found = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else {}


def _merge_field(schema: Manifest, merged: Manifest, key: str, value: Any) -> None:
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        merged[key] = _merge_value_object(schema, merged.get(key), value)
    elif isinstance(value, list) and _merges(schema):
        before = merged.get(key)
        merged[key] = _merge_list(schema, before if isinstance(before, list) else [], value)
    else:
        merged[key] = _without_directives(value)


def _merge_value_object(schema: Manifest, target: Any, patch: Manifest) -> Manifest:
    if "replace" in _strategy(schema) and _PATCH not in patch:
        return _object_without_directives(patch)
    return _merge_object(schema, target if isinstance(target, dict) else {}, patch)


def _strategy(schema: Manifest) -> list[str]:
    text: str = schema.get("x-kubernetes-patch-strategy", "")
    return text.split(",")


def _merges(schema: Manifest) -> bool:
    if "x-kubernetes-patch-strategy" in schema:
        return "merge" in _strategy(schema)
    return schema.get("x-kubernetes-list-type") in ("map", "set")


def _merge_keys(schema: Manifest) -> list[str]:
    if "x-kubernetes-patch-merge-key" in schema:
        return [schema["x-kubernetes-patch-merge-key"]]
    return list(schema.get("x-kubernetes-list-map-keys", ()))


def _merge_list(schema: Manifest, target: list[Any], patch: list[Any]) -> list[Any]:
    keys = _merge_keys(schema)
    if not keys:
        return [*target, *(item for item in patch if item not in target)]
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        return [_without_directives(item) for item in patch if _PATCH not in item]
    merged = list(target)
    for item in patch:
        wanted = _identity(item, keys)
        place = next((i for i, old in enumerate(merged) if _same(old, keys, wanted)), None)
        if item.get(_PATCH) == "delete":
            merged = [old for old in merged if not _same(old, keys, wanted)]
        elif place is None:
            merged.append(_merge_object(schema.get("items", {}), {}, item))
        else:
            merged[place] = _merge_object(schema.get("items", {}), merged[place], item)
    return merged


def _identity(item: Any, keys: list[str]) -> tuple[Any, ...]:
    """Read an item's keys: the first must be there, the others (a port's protocol) may have defaults."""
    if not isinstance(item, dict) or item.get(keys[0]) is None:
        raise ValueError(f"an item of the patch does not have its merge key {keys[0]!r}: {item!r}")
    return tuple(item.get(key) for key in keys)


def _same(old: Any, keys: list[str], wanted: tuple[Any, ...]) -> bool:
    return isinstance(old, dict) and all(
        value is None or old.get(key) in (value, None) for key, value in zip(keys, wanted, strict=True)
    )


def _merge_lists(schema: Manifest, merged: Manifest, patch: Manifest) -> None:
    """Carry out what the patch says about its lists as a whole: deletions first, then the order."""
    for key, value in patch.items():
        field = key.partition("/")[2]
        if key.startswith(_DELETE_FROM) and isinstance(merged.get(field), list):
            merged[field] = [item for item in merged[field] if item not in value]
    for key, value in patch.items():
        field = key.partition("/")[2]
        if key.startswith(_ORDER) and isinstance(merged.get(field), list):
            merged[field] = _in_order(merged[field], value, _merge_keys(_field(schema, field)))


def _in_order(items: list[Any], order: list[Any], keys: list[str]) -> list[Any]:
    """Sort as the patch asks; what it does not name stays behind the item it stood behind."""
    name: Callable[[Any], Any] = (lambda item: item.get(keys[0])) if keys else (lambda item: item)
    rank = {name(item): position for position, item in enumerate(order)}
    behind = -1
    ranked: list[tuple[int, int, Any]] = []
    for position, item in enumerate(items):
        behind = rank.get(name(item), behind)
        ranked.append((behind, position, item))
    return [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])]


def _without_directives(value: Any) -> Any:
    """Copy a part of a patch that meets nothing to merge with: nulls and directives say nothing there."""
    if isinstance(value, dict):
        return _object_without_directives(value)
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value


def _object_without_directives(value: Manifest) -> Manifest:
    return {
        key: _without_directives(item)
        for key, item in value.items()
        if item is not None and not key.startswith("$")
    }
