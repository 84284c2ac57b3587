"""What an onlooker sees of a cluster: its scheduler is Ready, can be reached, the cluster is gone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.stage import scheduler_address
from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import holds
from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.reflector import Reflector


@dataclass
class Sightings:
    """When each was seen first, in seconds since the epoch; 0 if never.

    Attributes
    ----------
    ready : float
        The scheduler's Pod is Ready.
    accepts : float
        Its Service's node port accepts a connection.
    gone : float
        The DaskCluster is there no more.
    """

    ready: float = 0.0
    accepts: float = 0.0
    gone: float = 0.0


@contextlib.asynccontextmanager
async def watching(kube: KubeClient, place: str, name: str, *, node_port: bool) -> AsyncIterator[Sightings]:
    """Watch a cluster for the length of an ``async with``, which begins before it is there."""
    seen = Sightings()

    def see_pod(_: Manifest | None, pod: Manifest | None) -> None:
        conditions = ((pod or {}).get("status") or {}).get("conditions")
        if not seen.ready and holds(conditions, "Ready"):
            seen.ready = time.time()

    def see_cluster(_: Manifest | None, cluster: Manifest | None) -> None:
        if cluster is None:
            seen.gone = time.time()

    async def knock() -> None:
        await until_accepts(await scheduler_address(kube, place, name))
        seen.accepts = time.time()

    pods = Reflector(kube, POD, namespace=place, labels=labels.of_scheduler(name), on_change=see_pod)
    clusters = Reflector(kube, DASKCLUSTER, namespace=place, on_change=see_cluster)
    tasks = [asyncio.ensure_future(each.run()) for each in (pods, clusters)]
    if node_port:
        tasks.append(asyncio.ensure_future(knock()))
    await asyncio.gather(pods.synced.wait(), clusters.synced.wait())
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_accepts(address: str) -> None:
    """Knock at an address every 5 ms until it accepts a connection."""
    url = urlsplit(address)
    while True:
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            # A packet that is lost while kube-proxy changes its rules is sent again after a second only.
            _, writer = await asyncio.wait_for(asyncio.open_connection(url.hostname, url.port), 0.1)
            writer.close()
            return
        await asyncio.sleep(0.005)
