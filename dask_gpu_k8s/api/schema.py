"""Structural schemas at work: what an API server does to an object on its way in.

In its order: `unknown_fields` are counted and `prune` drops them, `apply_defaults` drops nulls and fills in,
`validate` judges. None of it changes its argument.

Source: Kubernetes' documentation of CustomResourceDefinitions ("Field pruning", "Defaulting and Nullable").
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.api.validation import SchemaError, as_resource, child_path, validate

__all__ = [
    "SchemaError",
    "apply_defaults",
    "did_you_mean",
    "fields_at",
    "prune",
    "unknown_fields",
    "validate",
]

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"


def unknown_fields(schema: Manifest, obj: Any, path: str = "") -> list[str]:
    """Find the fields that the schema does not know.

    Parameters
    ----------
    schema : dict
        A structural schema, references resolved.
    obj : object
        What to look through.
    path : str
        Where `obj` stands. Empty means that it is a whole resource, with type and metadata.

    Returns
    -------
    list of str
        Paths such as ``"spec.worker.replica"``, in the order of the object.
    """
    found: list[str] = []
    _find_unknown(schema if path else as_resource(schema), obj, path, found)
    return found


def _find_unknown(schema: Manifest, value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, dict):
        _find_unknown_in_object(as_resource(schema) if _EMBEDDED in schema else schema, value, path, found)
    elif isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            for index, item in enumerate(value):
                _find_unknown(items, item, f"{path}[{index}]", found)


def _find_unknown_in_object(schema: Manifest, value: Manifest, path: str, found: list[str]) -> None:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    # What should be no object at all has the wrong type; its keys are nobody's misspelling.
    keeps = schema.get(_PRESERVE) or others is True or schema.get("type", "object") != "object"
    for key, item in value.items():
        below = properties.get(key, others)
        if isinstance(below, dict):
            if isinstance(item, (dict, list)):
                _find_unknown(below, item, child_path(path, key), found)
        elif not keeps:
            found.append(child_path(path, key))


def prune(schema: Manifest, obj: Any) -> Any:
    """Return a whole resource without the fields that its schema does not know."""
    return _prune(as_resource(schema), obj)


def _prune(schema: Manifest, value: Any) -> Any:
    if isinstance(value, dict):
        if _EMBEDDED in schema:
            schema = as_resource(schema)
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        keeps = schema.get(_PRESERVE) or others is True
        kept: Manifest = {}
        for key, item in value.items():
            below = properties.get(key, others)
            if isinstance(below, dict):
                kept[key] = _prune(below, item) if isinstance(item, (dict, list)) else item
            elif keeps:
                kept[key] = item
        return kept
    if isinstance(value, list):
        items = schema.get("items")
        return [_prune(items, item) for item in value] if isinstance(items, dict) else value
    return value


def apply_defaults(schema: Manifest, obj: Any) -> Any:
    """Return a whole resource with nulls dropped and defaults filled in.

    A null goes where the schema does not say ``nullable``; if the field has a default, that takes its place.
    """
    return _fill(as_resource(schema), obj)


def _fill(schema: Manifest, value: Any) -> Any:
    if isinstance(value, dict):
        return _fill_object(as_resource(schema) if _EMBEDDED in schema else schema, value)
    if isinstance(value, list):
        items = schema.get("items")
        if isinstance(items, dict):
            return [_fill(items, _or_default(items, item)) for item in value]
    return value


def _or_default(schema: Manifest, value: Any) -> Any:
    if value is None and "default" in schema and not schema.get("nullable"):
        return copy.deepcopy(schema["default"])
    return value


def _fill_object(schema: Manifest, value: Manifest) -> Manifest:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    filled: Manifest = {}
    for key, item in value.items():
        below = properties.get(key, others)
        if not isinstance(below, dict):
            filled[key] = item
        elif item is None and not below.get("nullable"):
            if "default" in below:
                filled[key] = _fill(below, copy.deepcopy(below["default"]))
        else:
            filled[key] = _fill(below, item) if isinstance(item, (dict, list)) else item
    for key, below in properties.items():
        if "default" in below and key not in filled:
            filled[key] = _fill(below, copy.deepcopy(below["default"]))
    return filled


def fields_at(schema: Manifest, path: str) -> list[str]:
    """List the fields that an object at `path` may have.

    Parameters
    ----------
    schema : dict
        Schema of the whole resource.
    path : str
        Such as ``"spec.worker.spec.containers[0]"``; empty for the resource itself.

    Returns
    -------
    list of str
        Empty if there is no such place, or if any field may stand there.
    """
    here: Any = as_resource(schema)
    for step in path.replace("[", ".[").split(".") if path else ():
        if not step:
            continue
        below = here.get("properties", {}).get(step)
        if below is None:
            below = here.get("items") or here.get("additionalProperties")
        if not isinstance(below, dict):
            return []
        here = as_resource(below) if _EMBEDDED in below else below
    return list(here.get("properties", {}))


def did_you_mean(field: str, candidates: Iterable[str]) -> str | None:
    """Find the candidate that somebody who wrote `field` probably meant.

    Parameters
    ----------
    field : str
        A field's name, or a path whose last part is looked at.
    candidates : iterable of str

    Returns
    -------
    str or None
        ``None`` if nothing is near enough.
    """
    name = field.rpartition(".")[2]
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[near[0]] if near else None
