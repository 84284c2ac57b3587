"""The DaskCluster that settings ask for. Nothing that talks to Kubernetes is loaded for it."""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import custom
from dask_gpu_k8s.cluster.modes import CreateMode
from dask_gpu_k8s.cluster.settings import Settings
from dask_gpu_k8s.cluster.spec import make_cluster_spec
from dask_gpu_k8s.errors import InvalidArgument


def wanted_manifest(settings: Settings) -> Manifest:
    """Make the DaskCluster that the settings describe; its name alone where none is ever created.

    A custom one carries its label, too.

    Raises
    ------
    InvalidArgument, InvalidType
        Naming the argument or field.
    """
    if settings.custom_cluster_spec is not None:
        return _custom_manifest(settings.custom_cluster_spec)
    if settings.create_mode is CreateMode.CONNECT_ONLY:
        return {"metadata": {"name": settings.name}}
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
        ttl=settings.ttl,
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
