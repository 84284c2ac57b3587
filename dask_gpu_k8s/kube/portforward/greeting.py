"""Whether a port of a Pod says anything to whoever connects."""

from __future__ import annotations

import asyncio

import aiohttp

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.config import in_cluster
from dask_gpu_k8s.kube.portforward.ends import leave
from dask_gpu_k8s.kube.websocket import PORT_FORWARD_PROTOCOL, Data, PortForwardClient, ProtocolError
from dask_gpu_k8s.kube.within import within

GREETING_SECONDS = 1.0
"""How long a greeting may take."""


async def greets(kube: KubeClient, pod: Manifest, port: int) -> bool:
    """Connect to a port of a Pod, from outside through the API server, and say whether it greets us.

    Parameters
    ----------
    kube : KubeClient
    pod : Manifest
        One that runs.
    port : int
        Its port.

    Raises
    ------
    KubeError
        If the API server refuses or cannot be reached.
    """
    try:
        if in_cluster():
            return await within(GREETING_SECONDS, _hear(pod, port))
        return await within(GREETING_SECONDS, _hear_through(kube, pod, port))
    except (asyncio.TimeoutError, OSError, ProtocolError):
        return False


async def _hear(pod: Manifest, port: int) -> bool:
    reader, writer = await asyncio.open_connection(pod["status"]["podIP"], port)
    try:
        return bool(await reader.read(1))
    finally:
        writer.transport.abort()


async def _hear_through(kube: KubeClient, pod: Manifest, port: int) -> bool:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    protocols = [PORT_FORWARD_PROTOCOL]
    socket = await kube.websocket(POD, name, namespace, "portforward", {"ports": port}, protocols)
    protocol, event = PortForwardClient(), None
    try:
        while event is None:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return False
            event = protocol.receive(message.data)
        return isinstance(event, Data)
    finally:
        await leave(socket, in_order=False)
