"""Whether a CRD's schema is structural: every field typed, nothing that cannot be pruned or defaulted.

Source: Kubernetes' documentation, "CustomResourceDefinitions: Specifying a structural schema".
"""

from __future__ import annotations

from collections.abc import Iterator

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause

_TYPES = ("string", "number", "integer", "boolean", "array", "object")
_KEEP = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"


def check_schema(schema: Manifest, path: str) -> list[Cause]:
    """Say what is wrong with the schema of one version."""
    if schema.get("type") != "object":
        text = "Required value: must not be empty at the root"
        if schema.get("type"):
            text = f'Invalid value: "{schema["type"]}": must be object at the root'
        return [Cause(f"{path}.type", text, "FieldValueRequired")]
    return list(_check(schema, path))


def _check(schema: Manifest, path: str) -> Iterator[Cause]:
    if not (schema.get(_INT_OR_STRING) or schema.get(_KEEP)) and "type" not in schema:
        text = "Required value: must not be empty for specified object fields"
        yield Cause(f"{path}.type", text, "FieldValueRequired")
    elif "type" in schema and schema["type"] not in _TYPES:
        shown = ", ".join(f'"{name}"' for name in sorted(_TYPES))
        text = f'Unsupported value: "{schema["type"]}": supported values: {shown}'
        yield Cause(f"{path}.type", text, "FieldValueNotSupported")
    for word in ("$ref", "definitions", "patternProperties"):
        if word in schema:
            yield Cause(f"{path}.{word}", f"Forbidden: {word} is not supported", "FieldValueForbidden")
    if schema.get("type") == "array" and not isinstance(schema.get("items"), dict):
        text = "Required value: must be specified"
        yield Cause(f"{path}.items", text, "FieldValueRequired")
    for below, where in _children(schema, path):
        yield from _check(below, where)


def _children(schema: Manifest, path: str) -> Iterator[tuple[Manifest, str]]:
    for name, below in (schema.get("properties") or {}).items():
        yield below, f"{path}.properties[{name}]"
    if isinstance(schema.get("items"), dict):
        yield schema["items"], f"{path}.items"
    if isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"], f"{path}.additionalProperties"


def has_rules(schema: object) -> bool:
    """Say whether a schema has CEL rules anywhere."""
    if isinstance(schema, dict):
        return "x-kubernetes-validations" in schema or any(has_rules(value) for value in schema.values())
    return isinstance(schema, list) and any(has_rules(value) for value in schema)
