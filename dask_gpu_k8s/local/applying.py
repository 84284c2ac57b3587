"""Creates the objects that a local Kubernetes is handed at its start, without reading into them."""

from __future__ import annotations

from collections.abc import Iterable

from dask_gpu_k8s.api.resources import CRD, NAMESPACE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError

_FIRST = (CRD.kind, NAMESPACE.kind)


def create_all(api: Api, manifests: Iterable[Manifest]) -> None:
    """Create objects in their order, but CustomResourceDefinitions and Namespaces first.

    Raises
    ------
    ValueError
        If one is refused; the message names it and says why.
    """
    for manifest in sorted(manifests, key=_rank):
        try:
            resource = _resource(api, manifest)
            meta = manifest.get("metadata") or {}
            namespace = (meta.get("namespace") or "default") if resource.namespaced else None
            api.create(resource, namespace, manifest)
        except StatusError as error:
            name = (manifest.get("metadata") or {}).get("name", "")
            raise ValueError(f"{manifest.get('kind')} {name}: {error.message}") from error


def _rank(manifest: Manifest) -> int:
    kind = manifest.get("kind")
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _resource(api: Api, manifest: Manifest) -> Resource:
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    for known in api.registry.all():
        if (known.resource.api_version, known.resource.kind) == (version, kind):
            return known.resource
    raise ValueError(f"this Kubernetes has no kind {kind} in {version}")
