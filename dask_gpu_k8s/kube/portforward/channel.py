"""One local connection in a WebSocket of its own, for servers that speak no tunnels.

The WebSocket has no way to say that one direction has ended. So a local end of input only starts a
countdown: the connection is closed once the Pod has had nothing to say for a second. This is also how
long a container runtime keeps the other direction open. When the Pod closes, both ends are closed.
"""

from __future__ import annotations

import asyncio
import time

import aiohttp

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Unreachable
from dask_gpu_k8s.kube.portforward.ends import ForwardFailed, leave
from dask_gpu_k8s.kube.portforward.local import LocalEnd
from dask_gpu_k8s.kube.websocket import PORT_FORWARD_PROTOCOL, Failure, PortForwardClient, ProtocolError

QUIET_SECONDS = 1.0
"""How long a Pod may be silent after the local end of input before the connection is closed."""


async def carry_alone(
    kube: KubeClient,
    pod: str,
    namespace: str,
    port: int,
    end: LocalEnd,
) -> None:
    """Carry one connection until either side has ended it.

    Reading pauses on either side for as long as the other does not take what was read.

    Parameters
    ----------
    kube : KubeClient
    pod, namespace : str
        The Pod.
    port : int
        Its port.
    end : LocalEnd
        Left open.

    Raises
    ------
    ForwardFailed
        If the Pod's side failed.
    KubeError
        If the API server refuses or cannot be reached.
    """
    socket = await kube.websocket(
        POD, pod, namespace, "portforward", {"ports": port}, [PORT_FORWARD_PROTOCOL]
    )
    in_order = False
    try:
        await _Relay(socket, end).run()
        in_order = True
    finally:
        await leave(socket, in_order=in_order)


class _Relay:
    """The two directions of one connection."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse[bool],
        end: LocalEnd,
    ) -> None:
        self._socket = socket
        self._end = end
        self._protocol = PortForwardClient()
        self._waiting_since = float("inf")

    async def run(self) -> None:
        upload = asyncio.create_task(self._upload())
        download = asyncio.create_task(self._download())
        try:
            await asyncio.wait({upload, download}, return_when=asyncio.FIRST_COMPLETED)
            if not download.done() and upload.exception() is None:
                await self._wait_for_quiet(download)
            for task in (download, upload):
                if task.done():
                    task.result()
        finally:
            for task in (upload, download):
                task.cancel()
            await asyncio.gather(upload, download, return_exceptions=True)

    async def _upload(self) -> None:
        """Carry local bytes to the Pod until the local end of input."""
        while data := await self._end.read():
            try:
                await self._socket.send_bytes(self._protocol.data(0, data))
            except (ConnectionError, aiohttp.ClientError):
                # The other direction, which is about to end too, knows why.
                return

    async def _download(self) -> None:
        """Carry the Pod's bytes here until it ends the connection."""
        while True:
            self._waiting_since = time.monotonic()
            message = await self._socket.receive()
            self._waiting_since = float("inf")
            if message.type is aiohttp.WSMsgType.ERROR:
                raise Unreachable(f"The connection to the API server broke: {message.data}")
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            await self._deliver(message.data)

    async def _deliver(self, message: bytes) -> None:
        try:
            event = self._protocol.receive(message)
        except ProtocolError as error:
            raise ForwardFailed(f"The API server broke the protocol: {error}") from error
        if isinstance(event, Failure):
            raise ForwardFailed(event.message.strip())
        if event is not None:
            self._end.write(event.payload)
            await self._end.drain()

    async def _wait_for_quiet(self, download: asyncio.Task[None]) -> None:
        """Return when the Pod has ended the connection or has been silent for a second."""
        while not download.done():
            left = self._waiting_since + QUIET_SECONDS - time.monotonic()
            if left <= 0:
                return
            await asyncio.wait({download}, timeout=min(left, QUIET_SECONDS))
