"""Bring a DaskCluster about: the one that is there, or a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import custom
from dask_gpu_k8s.cluster.modes import CreateMode, choose
from dask_gpu_k8s.cluster.settings import Settings
from dask_gpu_k8s.cluster.spec import make_cluster_spec
from dask_gpu_k8s.cluster.translate import in_plain_words, is_missing_kind, outdated_definition
from dask_gpu_k8s.errors import InvalidArgument
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, BadRequest, NotFound


@dataclass(frozen=True)
class Found:
    """A DaskCluster, and whether it was created just now."""

    manifest: Manifest
    created: bool


def make_manifest(settings: Settings) -> Manifest:
    """Make the DaskCluster that the settings describe; a custom one carries its label, too.

    Raises
    ------
    InvalidArgument, InvalidType
        Naming the argument or field.
    """
    if settings.custom_cluster_spec is not None:
        return _custom_manifest(settings.custom_cluster_spec)
    if not isinstance(settings.security, bool):
        raise InvalidArgument(
            "a Security object says how to connect to a cluster; a new one gets certificates of its own",
            where="security",
            cure="Say security=True; or, for certificates of yours, give a custom_cluster_spec with "
            "spec.security and the name of your Secret in spec.securitySecret.",
        )
    manifest = make_cluster_spec(
        settings.name,
        settings.image,
        settings.n_workers,
        settings.resources,
        settings.env,
        settings.worker_command,
        settings.scheduler_service_type,
        settings.idle_timeout,
        settings.jupyter,
        security=settings.security is True,
        scheduler_resources=settings.scheduler_resources,
        scheduler_options=settings.scheduler_options,
        worker_options=settings.worker_options,
    )
    if settings.scheduler_options or settings.worker_options:
        # Where people write parts of a Pod themselves, they can misspell them.
        custom.check(manifest, "scheduler_options, worker_options")
    return manifest


def _custom_manifest(source: Any) -> Manifest:
    manifest = custom.load_custom_cluster(source)
    metadata = manifest["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels.of_cluster(metadata["name"])}
    return manifest


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
