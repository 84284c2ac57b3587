"""From what a client sent to an object of its kind: identity, unknown fields, types, defaults.

Source: Kubernetes' documentation, "API concepts: Field validation" and "Custom resources: Field pruning".
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from dask_gpu_k8s.api.schema import SchemaError, apply_defaults, prune, unknown_fields, validate
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause, StatusError, bad_request, invalid
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.options import WriteOptions
from dask_gpu_k8s.local.machinery.store import encode


def detached(obj: Manifest) -> Manifest:
    """Copy an object, so that nothing its sender does later reaches the stored one."""
    copied: Manifest = json.loads(encode(obj))
    return copied


def decode(
    kind: Kind, sent: Any, options: WriteOptions, old: Manifest | None
) -> tuple[Manifest, list[Cause]]:
    """Turn a sent object into a complete one of its kind, in the version in which it is stored.

    Parameters
    ----------
    kind : Kind
    sent : object
        The decoded body; nobody else may hold it.
    options : WriteOptions
        Unknown fields are dropped silently, with a warning, or refused.
    old : dict or None
        The object that it is to replace.

    Returns
    -------
    tuple of (dict, list of Cause)
        The object, and what its schema says is wrong with it.

    Raises
    ------
    StatusError
        400 if it is no such object at all.
    """
    obj = _identified(kind, sent)
    schema = kind.schema()
    if schema is None:
        return kind.fill(obj, old), []
    _report_unknown(kind, schema, obj, options)
    obj = apply_defaults(schema, prune(schema, obj))
    errors = [error for error in validate(schema, obj) if not _judged_elsewhere(error)]
    _refuse_unreadable(kind, [error for error in errors if error.path.startswith("metadata.")])
    if not kind.custom:
        # Duplicates in lists are judged kind by kind: Kubernetes bears most of them.
        errors = [error for error in errors if error.reason != "FieldValueDuplicate"]
        _refuse_unreadable(kind, errors)
        obj = kind.fill(obj, old)
    return obj, [Cause(error.path, error.message, error.reason) for error in errors]


def _judged_elsewhere(error: SchemaError) -> bool:
    """Say whether the checks of metadata report the same: an owner reference without one of its parts."""
    return error.path.startswith("metadata.ownerReferences") and error.reason == "FieldValueRequired"


def _identified(kind: Kind, sent: Any) -> Manifest:
    if not isinstance(sent, dict):
        raise bad_request(f"a {kind.resource.kind} must be a JSON object")
    resource = kind.resource
    version = sent.get("apiVersion") or ("" if kind.custom else resource.api_version)
    name = sent.get("kind") or ("" if kind.custom else resource.kind)
    if not name:
        raise bad_request(f"Object 'Kind' is missing in '{encode(sent)[:200].decode(errors='replace')}'")
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    if name != resource.kind and kind.custom:
        cause = Cause("kind", f'Invalid value: "{name}": must be {resource.kind}')
        raise invalid(replace(resource, kind=name), str(_name_of(sent)), [cause])
    if name != resource.kind:
        raise bad_request(
            f'{name} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"the kind in the data ({name}) does not match the expected kind ({resource.kind})"
        )
    if not isinstance(sent.get("metadata", {}), dict):
        raise bad_request(f"metadata of a {name} must be a JSON object")
    obj = {key: value for key, value in sent.items() if key not in ("apiVersion", "kind", "metadata")}
    return {
        "apiVersion": kind.stored_api_version,
        "kind": name,
        "metadata": sent.get("metadata") or {},
        **obj,
    }


def _name_of(sent: Manifest) -> Any:
    meta = sent.get("metadata")
    return meta.get("name", "") if isinstance(meta, dict) else ""


def _report_unknown(kind: Kind, schema: Manifest, obj: Manifest, options: WriteOptions) -> None:
    if options.field_validation == "Ignore":
        return
    found = [f'unknown field "{path}"' for path in unknown_fields(schema, obj)]
    if found and options.field_validation == "Strict":
        raise _cannot_be_handled(kind, f"strict decoding error: {', '.join(found)}")
    for text in found:
        options.warn(text)


def _cannot_be_handled(kind: Kind, why: str) -> StatusError:
    name = kind.resource.kind
    return bad_request(f'{name} in version "{kind.resource.version}" cannot be handled as a {name}: {why}')


def _refuse_unreadable(kind: Kind, errors: list[SchemaError]) -> None:
    """Refuse as a typed decoder does: it cannot even read such an object, so nothing else is judged."""
    wrong = [error for error in errors if not kind.custom or error.reason == "FieldValueTypeInvalid"]
    wrong = [error for error in wrong if error.reason != "FieldValueRequired"]
    if wrong:
        raise _cannot_be_handled(kind, "; ".join(_in_words(error) for error in wrong))


def _in_words(error: SchemaError) -> str:
    if "must be a quantity" in error.message:
        expression = "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        return f"quantities must match the regular expression {expression} ({error.path}: {error.message})"
    if "must be base64" in error.message:
        return f"illegal base64 data ({error.path})"
    return f"json: cannot read {error.path}: {error.message}"
