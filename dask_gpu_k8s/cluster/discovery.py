"""Finding clusters that are there, for `dask-ctl` and others who look at the entry point."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import dask.config

from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.cluster.cluster import KubeCluster
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden, KubeError
from dask_gpu_k8s.kube.urls import ALL_NAMESPACES


async def discover() -> AsyncIterator[tuple[str, type[KubeCluster]]]:
    """Yield the name and the manager class of each cluster there is.

    Looks into all namespaces, or, without the right to do so, into the current one. Where there is no
    Kubernetes, or it knows no Dask clusters, there is nothing to find, and nothing is raised.

    Yields
    ------
    tuple of (str, type)
    """
    try:
        async with KubeClient.connect() as kube:
            own = str(dask.config.get("kubernetes.namespace") or kube.namespace)
            try:
                found = await kube.list(DASKCLUSTER, ALL_NAMESPACES)
            except Forbidden:
                found = await kube.list(DASKCLUSTER, own)
    except KubeError:
        return
    for cluster in found["items"]:
        namespace = cluster["metadata"]["namespace"]
        yield cluster["metadata"]["name"], KubeCluster if namespace == own else _manager(namespace)


def _manager(namespace: str) -> type[KubeCluster]:
    """Make a class that looks into a namespace: `dask-ctl` hands a name alone to `from_name`."""

    class Elsewhere(KubeCluster):
        @classmethod
        def from_name(cls, name: str, **kwargs: Any) -> KubeCluster:
            return KubeCluster.from_name(name, **{"namespace": namespace, **kwargs})

    return Elsewhere
