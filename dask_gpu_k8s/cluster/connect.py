"""Open the way to a scheduler that was chosen."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import scheduler_pod, ways
from dask_gpu_k8s.cluster.translate import in_plain_words
from dask_gpu_k8s.errors import InvalidArgument
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.config import in_cluster
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.portforward import LOCALHOST, PodIdentity, PortForward

logger = logging.getLogger(__name__)

_CURES = {
    ways.PORT_FORWARD: "Connections go through the API server, which wants the rights to get and create "
    "pods/portforward; the log says why they fail.",
    ways.DIRECT: "Does a network policy stand between? If this Pod belongs to another Kubernetes than the "
    'scheduler, say connect="port-forward".',
    ways.NODE_PORT: "Does a firewall stand between? node_port_host= names another address, and "
    'connect="port-forward" goes through the API server.',
    ways.LOAD_BALANCER: "Does a firewall stand between, or does the load balancer need longer (see "
    'resource_timeout)? connect="port-forward" goes through the API server.',
}


@dataclass(frozen=True)
class Route:
    """Where this process reaches a scheduler.

    Attributes
    ----------
    address : str
        Of the scheduler, e.g. ``"tcp://127.0.0.1:41234"``.
    dashboard : tuple of (str, int) or None
        Host and port of its dashboard; ``None`` if it cannot be reached.
    cure : str
        What to do if nobody answers there.
    """

    address: str
    dashboard: tuple[str, int] | None
    cure: str = ""


async def open_route(
    kube: KubeClient,
    cluster: Manifest,
    plan: ways.Plan,
    stack: AsyncExitStack,
    dashboard_port: int | None,
    *,
    scheme: str = "tcp",
    is_news: Callable[[], bool] = lambda: True,
) -> Route:
    """Open the way to a scheduler, and tell the log which it is.

    Parameters
    ----------
    kube : KubeClient
    cluster : Manifest
        The DaskCluster.
    plan : Plan
        The way.
    stack : AsyncExitStack
        Closes the port-forwards in its time.
    dashboard_port : int or None
        Local port of the dashboard; by default any. Only for a port-forward.
    scheme : str, optional
        ``tls`` if the scheduler speaks it.
    is_news : callable, optional
        Asked before a port-forward tells the log that it has lost the scheduler.

    Raises
    ------
    InvalidArgument
        If the local port is taken, or a name is only known in Kubernetes.
    NotAllowed
        If a port-forward is refused.
    """
    host, comm, board = plan.host, plan.comm, plan.dashboard
    if plan.mode is ways.PORT_FORWARD:
        host, (comm, board) = LOCALHOST, await _forward(kube, cluster, plan, stack, dashboard_port, is_news)
    elif plan.mode is ways.DIRECT and not in_cluster():
        await _look_up(host)
    host = f"[{host}]" if ":" in host else host
    route = Route(f"{scheme}://{host}:{comm}", (host, board) if board else None, _CURES[plan.mode])
    logger.log(
        logging.WARNING if plan.is_second_choice else logging.INFO,
        "DaskCluster %s/%s: its scheduler is reached at %s (%s): %s",
        cluster["metadata"]["namespace"],
        cluster["metadata"]["name"],
        route.address,
        plan.mode,
        plan.why,
    )
    return route


async def _forward(
    kube: KubeClient,
    cluster: Manifest,
    plan: ways.Plan,
    stack: AsyncExitStack,
    dashboard_port: int | None,
    is_news: Callable[[], bool],
) -> tuple[int, int | None]:
    wanted = {plan.comm: 0} if plan.dashboard is None else {plan.comm: 0, plan.dashboard: dashboard_port or 0}
    namespace, name = cluster["metadata"]["namespace"], cluster["metadata"]["name"]
    finder = scheduler_finder(kube, cluster)
    forward = PortForward(kube, finder, wanted, namespace=namespace, is_news=is_news)
    try:
        await stack.enter_async_context(forward)
    except OSError as error:
        raise InvalidArgument(
            f"the local port {dashboard_port} cannot be used ({error.strerror})",
            where="scheduler_forward_port",
            cure="Choose another one, or None for any.",
        ) from error
    with in_plain_words(f"DaskCluster {namespace}/{name}"):
        await forward.settled()
    ports = forward.local_ports
    return ports[plan.comm], None if plan.dashboard is None else ports[plan.dashboard]


async def _look_up(host: str) -> None:
    """Refuse a name of a Service that nobody knows here; asked once."""
    try:
        await asyncio.get_running_loop().getaddrinfo(host, None)
    except socket.gaierror as error:
        raise InvalidArgument(
            f"the name {host} is not known here, outside Kubernetes ({error.strerror})",
            where='connect="direct"',
            cure='Without a VPN that knows it, say connect="port-forward".',
        ) from error


def scheduler_finder(kube: KubeClient, cluster: Manifest) -> Callable[[], Awaitable[PodIdentity]]:
    """Make the function that a port-forward asks for the scheduler's Pod."""
    namespace, name, uid = (cluster["metadata"][key] for key in ("namespace", "name", "uid"))

    async def find() -> PodIdentity:
        pods = await kube.list(POD, namespace, labels=labels.of_scheduler(name))
        pod = scheduler_pod.pick_scheduler(pods["items"], uid)
        if pod is None or pod["status"].get("phase") != "Running":
            raise KubeError(f"DaskCluster {namespace}/{name} has no scheduler that runs")
        return PodIdentity(pod["metadata"]["name"], pod["metadata"]["uid"])

    return find
