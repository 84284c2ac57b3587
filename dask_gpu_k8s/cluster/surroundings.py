"""What has to be known to choose the way to a scheduler, read from Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.resources import NODE, SERVICE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing, ways
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.config import in_cluster
from dask_gpu_k8s.kube.errors import Forbidden, NotFound
from dask_gpu_k8s.kube.reflector import Reflector


async def find_way(
    kube: KubeClient,
    cluster: Manifest,
    pod: Manifest,
    wish: ways.Wish,
    limit: float,
    say: Callable[[str], None],
) -> ways.Plan:
    """Choose the way to a scheduler; only a load balancer that is insisted on is waited for.

    Parameters
    ----------
    kube : KubeClient
    cluster, pod : Manifest
        The DaskCluster and its scheduler.
    wish : Wish
    limit : float
        Seconds that a load balancer may take to get an address.
    say : callable
        Told what is waited for.

    Returns
    -------
    Plan

    Raises
    ------
    InvalidArgument, NotAllowed, StartFailed
        If the way that the user insists on does not exist.
    """
    inside = in_cluster()
    service = await _read_service(kube, cluster)
    meant = ways.meant_mode(service, inside, wish)
    nodes: list[Manifest] | None = []
    if meant is ways.LOAD_BALANCER and wish.is_strict and not ways.balancer_host(service):
        ways.check_type(service, wish)
        say("waiting for the address of its load balancer")
        service = await _wait_for_address(kube, service, limit)
    elif meant is ways.NODE_PORT and not wish.node_port_host:
        nodes = await _read_nodes(kube, pod)
    return ways.decide(service, pod, nodes, inside=inside, wish=wish)


async def _read_service(kube: KubeClient, cluster: Manifest) -> Manifest:
    metadata = cluster["metadata"]
    try:
        return await kube.get(SERVICE, names.scheduler(metadata["name"]), metadata["namespace"])
    except Forbidden as error:
        missing.tell(error)
    except NotFound:
        pass
    return ways.asked_service(cluster)


async def _read_nodes(kube: KubeClient, pod: Manifest) -> list[Manifest] | None:
    """Read the node that a Pod runs on, and only if that is of no use all of them."""
    try:
        with suppress(NotFound):
            own = await kube.get(NODE, pod["spec"]["nodeName"])
            if ways.node_host(pod, [own]):
                return [own]
        found = await kube.list(NODE)
    except Forbidden:
        return None
    items: list[Manifest] = found["items"]
    return items


async def _wait_for_address(kube: KubeClient, service: Manifest, limit: float) -> Manifest:
    """Wait until a load balancer has given a Service an address; return it without one after `limit`."""
    found: asyncio.Future[Manifest] = asyncio.get_running_loop().create_future()

    def look(_: Manifest | None, new: Manifest | None) -> None:
        if new is not None and ways.balancer_host(new) and not found.done():
            found.set_result(new)

    def refuse(error: Forbidden) -> None:
        if not found.done():
            found.set_exception(error)

    metadata = service["metadata"]
    reflector = Reflector(
        kube,
        SERVICE,
        namespace=metadata["namespace"],
        fields={"metadata.name": metadata["name"]},
        on_change=look,
    )
    reflector.on_refused = refuse
    following = asyncio.create_task(reflector.run())
    try:
        return await asyncio.wait_for(found, limit)
    except asyncio.TimeoutError:
        return service
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
