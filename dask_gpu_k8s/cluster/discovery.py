"""Finding clusters that are there, for `dask-ctl` and others who look at the entry point."""

from __future__ import annotations

from collections.abc import AsyncIterator

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
            try:
                found = await kube.list(DASKCLUSTER, ALL_NAMESPACES)
            except Forbidden:
                found = await kube.list(DASKCLUSTER)
    except KubeError:
        return
    for cluster in found["items"]:
        yield cluster["metadata"]["name"], KubeCluster
