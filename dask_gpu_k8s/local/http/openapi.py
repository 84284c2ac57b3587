"""OpenAPI v3 documents, as far as kubectl reads them: fields, how lists merge, parameters of verbs.

Source: Kubernetes' documentation, "The Kubernetes API: OpenAPI V3".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dask_gpu_k8s.api.objectmeta import OBJECT_META
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import no_such_path
from dask_gpu_k8s.local.http.discovery import subresources
from dask_gpu_k8s.local.machinery.kinds import Kind

_ACTIONS = {
    "create": ("post", "post"),
    "delete": ("delete", "delete"),
    "deletecollection": ("delete", "deletecollection"),
    "get": ("get", "get"),
    "list": ("get", "list"),
    "patch": ("patch", "patch"),
    "update": ("put", "put"),
}
_ON_KIND = ("create", "deletecollection", "list")
_WRITES = ("create", "patch", "update")
_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def index(kinds: Iterable[Kind], generation: int) -> Manifest:
    """Answer ``/openapi/v3``.

    Parameters
    ----------
    kinds : iterable of Kind
    generation : int
        Of the registry; goes into the address of each document, so that clients cache it until it changes.
    """
    places = dict.fromkeys(_place(kind) for kind in kinds)
    paths = {
        place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={generation}"} for place in sorted(places)
    }
    return {"paths": paths}


def _place(kind: Kind) -> str:
    resource = kind.resource
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def document(kinds: Iterable[Kind], place: str, title: str) -> Manifest:
    """Answer ``/openapi/v3/<place>``; StatusError 404 if nothing is served there."""
    served = [kind for kind in kinds if _place(kind) == place]
    if not served:
        raise no_such_path()
    paths: Manifest = {}
    for kind in served:
        paths.update(_paths(kind, f"/{place}"))
    schemas = {_schema_name(kind): _schema(kind) for kind in served}
    return {
        "openapi": "3.0.0",
        "info": {"title": title, "version": "v1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _schema_name(kind: Kind) -> str:
    group = kind.resource.group or "core"
    return f"{'.'.join(reversed(group.split('.')))}.{kind.resource.version}.{kind.resource.kind}"


def _gvk(kind: Kind) -> Manifest:
    resource = kind.resource
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema(kind: Kind) -> Manifest:
    schema = kind.schema() or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    own = schema.get("properties", {})
    properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **own}
    meta = own.get("metadata", {})
    if not meta.get("properties", {}).get("labels"):
        properties["metadata"] = {**OBJECT_META, "description": meta.get("description", "")}
    return {**schema, "properties": properties, "x-kubernetes-group-version-kind": [_gvk(kind)]}


def _paths(kind: Kind, base: str) -> Iterator[tuple[str, Manifest]]:
    resource = kind.resource
    home = f"{base}/namespaces/{{namespace}}" if resource.namespaced else base
    everywhere = f"{base}/{resource.plural}"
    if resource.namespaced and "list" in kind.verbs:
        yield everywhere, {"get": _operation(kind, "list")}
    yield f"{home}/{resource.plural}", _operations(kind, [v for v in kind.verbs if v in _ON_KIND])
    of_one = [verb for verb in kind.verbs if verb in _ACTIONS and verb not in _ON_KIND]
    if of_one:
        yield f"{home}/{resource.plural}/{{name}}", _operations(kind, of_one)
    for sub in subresources(kind):
        if sub in ("status", "scale"):
            path = f"{home}/{resource.plural}/{{name}}/{sub}"
            yield path, _operations(kind, ["get", "patch", "update"])


def _operations(kind: Kind, verbs: list[str]) -> Manifest:
    return {_ACTIONS[verb][0]: _operation(kind, verb) for verb in verbs}


def _operation(kind: Kind, verb: str) -> Manifest:
    schema = {"$ref": f"#/components/schemas/{_schema_name(kind)}"}
    operation: dict[str, Any] = {
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}},
        "x-kubernetes-action": _ACTIONS[verb][1],
        "x-kubernetes-group-version-kind": _gvk(kind),
    }
    if verb in _WRITES:
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in _PARAMETERS
        ]
    return operation
