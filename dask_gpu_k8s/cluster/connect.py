"""From a scheduler that is Ready to a connection with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import distributed
from distributed.core import rpc

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import scheduler_pod
from dask_gpu_k8s.cluster.versions import check_versions
from dask_gpu_k8s.errors import InvalidArgument, StartFailed
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.config import in_cluster
from dask_gpu_k8s.kube.portforward import LOCALHOST, PortForward

ANSWER_SECONDS = 60.0
"""How long a scheduler that is Ready may take to answer its first call."""


@dataclass(frozen=True)
class Route:
    """Where this process reaches a scheduler.

    Attributes
    ----------
    address : str
        Of the scheduler, e.g. ``"tcp://127.0.0.1:41234"``.
    dashboard : tuple of (str, int)
        Host and port of its dashboard.
    """

    address: str
    dashboard: tuple[str, int]


async def open_route(
    kube: KubeClient,
    cluster: Manifest,
    pod: Manifest,
    stack: AsyncExitStack,
    *,
    forward: bool | None,
    dashboard_port: int | None,
) -> Route:
    """Reach a scheduler: directly from inside Kubernetes, by port-forward from outside.

    Parameters
    ----------
    kube : KubeClient
    cluster : Manifest
        The DaskCluster.
    pod : Manifest
        Its scheduler.
    stack : AsyncExitStack
        Closes the port-forwards in its time.
    forward : bool or None
        Always, never, or as the place asks for.
    dashboard_port : int or None
        Local port of the dashboard; by default any.

    Raises
    ------
    InvalidArgument
        If the local port is taken.
    """
    if not (not in_cluster() if forward is None else forward):
        return direct_route(cluster)
    find = scheduler_finder(kube, cluster)
    comm = scheduler_pod.container_port(pod, scheduler_pod.COMM_NAMES, scheduler_pod.COMM_PORT)
    board = scheduler_pod.container_port(pod, scheduler_pod.DASHBOARD_NAMES, scheduler_pod.DASHBOARD_PORT)
    namespace = cluster["metadata"]["namespace"]
    to_comm = await stack.enter_async_context(PortForward(kube, find, comm, namespace=namespace))
    to_board = PortForward(kube, find, board, namespace=namespace, local_port=dashboard_port or 0)
    try:
        await stack.enter_async_context(to_board)
    except OSError as error:
        raise InvalidArgument(
            f"the local port {dashboard_port} cannot be used ({error.strerror})",
            where="scheduler_forward_port",
            cure="Choose another one, or None for any.",
        ) from error
    return Route(f"tcp://{LOCALHOST}:{to_comm.local_port}", (LOCALHOST, to_board.local_port))


def direct_route(cluster: Manifest) -> Route:
    """Address a scheduler by its Service; no cluster domain, which differs from place to place."""
    metadata, service = cluster["metadata"], cluster["spec"]["scheduler"].get("service") or {}
    host = f"{names.scheduler(metadata['name'])}.{metadata['namespace']}.svc"
    comm = scheduler_pod.service_port(service, scheduler_pod.COMM_NAMES, scheduler_pod.COMM_PORT)
    board = scheduler_pod.service_port(service, scheduler_pod.DASHBOARD_NAMES, scheduler_pod.DASHBOARD_PORT)
    return Route(f"tcp://{host}:{comm}", (host, board))


def scheduler_finder(kube: KubeClient, cluster: Manifest) -> Callable[[], Awaitable[str]]:
    """Make the function that a port-forward asks for each connection, to learn the scheduler's Pod."""
    metadata = cluster["metadata"]

    async def find() -> str:
        pods = await kube.list(POD, metadata["namespace"], labels=labels.of_scheduler(metadata["name"]))
        pod = scheduler_pod.pick_scheduler(pods["items"], metadata["uid"])
        if pod is None:
            # The connection is reset; Dask reports that in its own way, and tries again.
            raise ConnectionResetError(f"{metadata['name']} has no scheduler at the moment")
        return str(pod["metadata"]["name"])

    return find


async def open_comm(address: str, where: str) -> Any:
    """Open a line to a scheduler, and find out whether it speaks our language.

    Parameters
    ----------
    address : str
    where : str
        The cluster, for messages.

    Returns
    -------
    distributed.core.rpc

    Raises
    ------
    VersionMismatch
        If the two versions of Dask cannot talk.
    StartFailed
        If nobody answers.
    """
    comm = rpc(address)
    try:
        versions = await _ask_versions(comm, where)
        check_versions(distributed.__version__, str(versions["packages"].get("distributed") or ""), where)
    except BaseException:
        await comm.close_rpc()
        raise
    return comm


async def _ask_versions(comm: Any, where: str) -> Any:
    # Ready means that the dashboard answers; a Service or a forward may need a moment more.
    deadline = time.monotonic() + ANSWER_SECONDS
    backoff = Backoff(maximum=2.0)
    while True:
        try:
            return await comm.versions()
        except OSError as error:
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"the scheduler is Ready but does not answer at {comm.address} ({error})",
                    where=where,
                    cure="Does a network policy or a firewall stand between? port_forward_cluster_ip=True "
                    "goes through the API server.",
                ) from error
        await asyncio.sleep(next(backoff))
