"""Bring a DaskCluster about: the one that is there, or a new one."""

from __future__ import annotations

from dataclasses import dataclass

from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.modes import CreateMode, choose
from dask_gpu_k8s.cluster.translate import in_plain_words, is_missing_kind, outdated_definition
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, BadRequest, NotFound


@dataclass(frozen=True)
class Found:
    """A DaskCluster, and whether it was created just now."""

    manifest: Manifest
    created: bool


async def find_or_create(kube: KubeClient, manifest: Manifest, namespace: str, mode: CreateMode) -> Found:
    """Look for a DaskCluster, and create it where it is missing and may be created.

    Parameters
    ----------
    kube : KubeClient
    manifest : Manifest
        What would be created.
    namespace : str
    mode : CreateMode

    Raises
    ------
    ClusterExists, ClusterNotFound
        If the mode forbids what would have to be done.
    CRDsMissing, NotAllowed, NoKubernetes, InvalidArgument
        If Kubernetes does.
    """
    name = manifest["metadata"]["name"]
    where = f"DaskCluster {namespace}/{name}"
    with in_plain_words(where):
        found = await _find(kube, name, namespace)
        if choose(mode, found is not None, name, namespace) == "create":
            made = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
            try:
                return Found(await kube.create(DASKCLUSTER, made, namespace), created=True)
            except AlreadyExists:
                # Somebody was quicker.
                choose(mode, True, name, namespace)
                found = await _find(kube, name, namespace)
            except BadRequest as error:
                # Our own definition has all its fields, else it would not have come so far.
                if "unknown field" in error.message:
                    raise outdated_definition(f"refuses it ({error.message})", where) from error
                raise
        if found is None:
            raise RuntimeError(f"DaskCluster {namespace}/{name} appears and disappears; try again")
        return Found(found, created=False)


async def _find(kube: KubeClient, name: str, namespace: str) -> Manifest | None:
    try:
        return await kube.get(DASKCLUSTER, name, namespace)
    except NotFound as error:
        if is_missing_kind(error):
            raise
        return None
