"""Whether the definitions in a Kubernetes are those that this package was written for.

Told from the API's own description of itself (OpenAPI), which everybody may read: it takes no right to look
at CustomResourceDefinitions, in one namespace or in all.
"""

from __future__ import annotations

from collections.abc import Iterator

from dask_gpu_k8s.api.manifests import custom_schemas
from dask_gpu_k8s.api.resources import GROUP, VERSION, Resource
from dask_gpu_k8s.api.types import Manifest

PATH = f"/openapi/v3/apis/{GROUP}/{VERSION}"
"""Where an API server describes our group."""


def lacks(document: Manifest, resource: Resource) -> Iterator[str]:
    """Name what the definition of a kind lacks: fields, subresources, or all of it (the kind's own name).

    Parameters
    ----------
    document : Manifest
        OpenAPI of our group; empty if there is none.
    resource : Resource
    """
    place = f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/{resource.plural}"
    served = _schema_of(document, resource.kind)
    if served is None or place not in document.get("paths", {}):
        yield resource.kind
        return
    for sub in resource.subresources:
        if f"{place}/{{name}}/{sub}" not in document["paths"]:
            yield f"the subresource {sub}"
    wanted = custom_schemas()[resource.kind]
    for name in ("spec", "status"):
        ours, theirs = (schema.get("properties", {}).get(name, {}) for schema in (wanted, served))
        yield from _missing(ours, theirs, name)


def _schema_of(document: Manifest, kind: str) -> Manifest | None:
    schemas = (document.get("components") or {}).get("schemas") or {}
    for schema in schemas.values():
        kinds = schema.get("x-kubernetes-group-version-kind") or ()
        if {"group": GROUP, "version": VERSION, "kind": kind} in kinds:
            found: Manifest = schema
            return found
    return None


def _missing(ours: Manifest, theirs: Manifest, path: str) -> Iterator[str]:
    if theirs.get("x-kubernetes-preserve-unknown-fields"):
        return
    properties = theirs.get("properties") or {}
    for name, schema in (ours.get("properties") or {}).items():
        if name in properties:
            yield from _missing(schema, properties[name], f"{path}.{name}")
        else:
            yield f"{path}.{name}"
    for below in ("items", "additionalProperties"):
        inner, there = ours.get(below), theirs.get(below)
        if isinstance(inner, dict) and isinstance(there, dict):
            yield from _missing(inner, there, f"{path}[]")
