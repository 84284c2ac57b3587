"""Check an object against a structural schema, as an API server does when it admits one.

Source: Kubernetes' documentation of CustomResourceDefinitions ("Specifying a structural schema") and the
OpenAPI v3 schemas it publishes for its own kinds. CEL rules (``x-kubernetes-validations``) are not evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.api.keywords import RULES
from dask_gpu_k8s.api.objectmeta import OBJECT_META, TYPE_META
from dask_gpu_k8s.api.types import Manifest

INVALID = "FieldValueInvalid"
REQUIRED = "FieldValueRequired"
DUPLICATE = "FieldValueDuplicate"
NOT_SUPPORTED = "FieldValueNotSupported"
TYPE_INVALID = "FieldValueTypeInvalid"


@dataclass(frozen=True)
class SchemaError:
    """One thing that is wrong with an object.

    Attributes
    ----------
    path : str
        Where, e.g. ``"spec.worker.spec.containers[0].resources.limits"``.
    message : str
        What, with the offending value, e.g. ``"Invalid value: -1: must be at least 0"``.
    reason : str
        Kubernetes' word for it, as in ``status.details.causes``.
    """

    path: str
    message: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def validate(schema: Manifest, obj: Any, path: str = "") -> list[SchemaError]:
    """Say everything that is wrong with an object; unknown fields are not looked for.

    A null where the schema allows none counts as absent, as it does for an API server.

    Parameters
    ----------
    schema : dict
        A structural schema, references resolved.
    obj : object
        What to check. Fill in defaults first: a required field may have one.
    path : str
        Where `obj` stands. Empty means that it is a whole resource, whose ``metadata`` is checked too.

    Returns
    -------
    list of SchemaError
        In the order of the object; empty if all is well.
    """
    errors: list[SchemaError] = []
    _check(schema if path else as_resource(schema), obj, path, errors)
    return errors


def as_resource(schema: Manifest) -> Manifest:
    """Complete the schema of a whole resource by what every resource has: type and metadata."""
    own = schema.get("properties", {})
    metadata = own.get("metadata", {})
    fields = {**OBJECT_META["properties"], **metadata.get("properties", {})}
    return {
        **schema,
        "properties": {**TYPE_META, **own, "metadata": {**OBJECT_META, **metadata, "properties": fields}},
    }


def child_path(path: str, key: str) -> str:
    """Name a field of the object at `path`; a key that is no plain word goes into brackets."""
    if not key.isidentifier():
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _check(schema: Manifest, value: Any, path: str, errors: list[SchemaError]) -> None:
    if value is None:
        if not schema.get("nullable") and "type" in schema:
            errors.append(SchemaError(path, f"Invalid value: null: {_MUST_BE[schema['type']]}", TYPE_INVALID))
        return
    wanted = "int-or-string" if "x-kubernetes-int-or-string" in schema else schema.get("type")
    if wanted is not None and not _TYPES[wanted](value):
        errors.append(SchemaError(path, f"Invalid value: {_show(value)}: {_MUST_BE[wanted]}", TYPE_INVALID))
        return
    if wanted is None or len(schema) > 1:
        _check_rules(schema, value, path, errors)
    if isinstance(value, dict):
        if schema.get("x-kubernetes-embedded-resource"):
            schema = as_resource(schema)
        _check_fields(schema, value, path, errors)
    elif isinstance(value, list):
        _check_items(schema, value, path, errors)


def _check_rules(schema: Manifest, value: Any, path: str, errors: list[SchemaError]) -> None:
    for rule in schema:
        check = RULES.get(rule)
        if check is None:
            continue
        problem = check(schema[rule], value)
        if problem is not None:
            reason = NOT_SUPPORTED if rule == "enum" else INVALID
            label = "Unsupported value" if rule == "enum" else "Invalid value"
            errors.append(SchemaError(path, f"{label}: {_show(value)}: {problem}", reason))
    if "allOf" in schema or "anyOf" in schema or "oneOf" in schema or "not" in schema:
        _check_junctors(schema, value, path, errors)


def _check_fields(schema: Manifest, value: Manifest, path: str, errors: list[SchemaError]) -> None:
    for name in schema.get("required", ()):
        if value.get(name) is None and not _allows_null(schema, name, value):
            errors.append(SchemaError(child_path(path, name), "Required value", REQUIRED))
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties")
    for key, item in value.items():
        below = properties.get(key)
        if below is None:
            below = others if isinstance(others, dict) else None
        if below is None or (item is None and not below.get("nullable")):
            continue
        _check(below, item, child_path(path, key), errors)


def _allows_null(schema: Manifest, name: str, value: Manifest) -> bool:
    return name in value and bool(schema.get("properties", {}).get(name, {}).get("nullable"))


def _check_items(schema: Manifest, value: list[Any], path: str, errors: list[SchemaError]) -> None:
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            _check(items, item, f"{path}[{index}]", errors)
    kind = schema.get("x-kubernetes-list-type")
    if kind in ("map", "set"):
        for index, key in _repeated(
            value, schema.get("x-kubernetes-list-map-keys", ()) if kind == "map" else ()
        ):
            errors.append(SchemaError(f"{path}[{index}]", f"Duplicate value: {key}", DUPLICATE))


def _repeated(value: list[Any], keys: Any) -> Iterator[tuple[int, str]]:
    """Find the items of a list that have the same keys (no keys: are the same) as one before them."""
    seen: set[str] = set()
    for index, item in enumerate(value):
        if keys and not isinstance(item, dict):
            continue
        shown = _show({key: item[key] for key in keys if key in item} if keys else item)
        if shown in seen:
            yield index, shown
        seen.add(shown)


def _check_junctors(schema: Manifest, value: Any, path: str, errors: list[SchemaError]) -> None:
    for part in schema.get("allOf", ()):
        _check(part, value, path, errors)
    if "anyOf" in schema and not any(_fits(part, value) for part in schema["anyOf"]):
        errors.append(SchemaError(path, f"Invalid value: {_show(value)}: fits none of anyOf", INVALID))
    if "oneOf" in schema and sum(_fits(part, value) for part in schema["oneOf"]) != 1:
        errors.append(SchemaError(path, f"Invalid value: {_show(value)}: must fit one of oneOf", INVALID))
    if "not" in schema and _fits(schema["not"], value):
        errors.append(SchemaError(path, f"Invalid value: {_show(value)}: is excluded by the schema", INVALID))


def _fits(schema: Manifest, value: Any) -> bool:
    errors: list[SchemaError] = []
    _check(schema, value, "-", errors)
    return not errors


def _show(value: Any) -> str:
    """Write a value as JSON, shortened to a line that can be read."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 100 else f"{text[:97]}..."


# What each type is, and how an error says so.


def _is_integer(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "int-or-string": lambda value: isinstance(value, str) or _is_integer(value),
}
_MUST_BE = {
    "object": "must be an object",
    "array": "must be a list",
    "string": "must be a string",
    "boolean": "must be true or false",
    "integer": "must be an integer",
    "number": "must be a number",
    "int-or-string": "must be an integer or a string",
}
