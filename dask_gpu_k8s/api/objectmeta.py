"""The schema of ``metadata``, which every resource has whatever its own schema says.

Source: Kubernetes' API reference, "ObjectMeta". A CRD may only restrict ``metadata.name``; the API server
itself knows the rest, and so must whoever validates without one.
"""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_NUMBER: dict[str, Any] = {"type": "integer", "format": "int64"}
_TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}

_OWNER: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "name", "uid"],
    "properties": {
        "apiVersion": _TEXT,
        "kind": _TEXT,
        "name": _TEXT,
        "uid": _TEXT,
        "controller": {"type": "boolean"},
        "blockOwnerDeletion": {"type": "boolean"},
    },
}

OBJECT_META: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "generateName": _TEXT,
        "namespace": _TEXT,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": {"type": "array", "items": _OWNER},
        "uid": _TEXT,
        "resourceVersion": _TEXT,
        "generation": _NUMBER,
        "selfLink": _TEXT,
        "creationTimestamp": _TIME,
        "deletionTimestamp": _TIME,
        "deletionGracePeriodSeconds": _NUMBER,
        "managedFields": {
            "type": "array",
            "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    },
}
"""Fields of ``metadata`` with their types."""

TYPE_META: dict[str, Any] = {"apiVersion": _TEXT, "kind": _TEXT}
"""The two fields that say what an object is."""
