"""One tunnel into a Pod, and the connections that go through it, one after another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import aiohttp

from dask_gpu_k8s.kube.errors import KubeError, Unreachable
from dask_gpu_k8s.kube.portforward.ends import ForwardFailed, leave
from dask_gpu_k8s.kube.portforward.local import LocalEnd
from dask_gpu_k8s.kube.sockets import hang_up
from dask_gpu_k8s.kube.spdy.client import TunnelClient
from dask_gpu_k8s.kube.spdy.events import ClientEvent, Data, Ended, Failed, GoneAway, Pong
from dask_gpu_k8s.kube.websocket import ProtocolError

WORKERS = 5
"""How many workers the far end has for a tunnel's frames; pings go round them."""

LEFT_OVER = 1 << 20
"""Bytes that may wait for a local end whose tunnel has gone on to the next; more breaks it off."""


class _Connection:
    """A local end, and how the connection ends."""

    def __init__(self, local: LocalEnd) -> None:
        self.local = local
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(self, error: BaseException | None = None) -> None:
        if self.end.done():
            return
        if error is None:
            self.end.set_result(None)
        else:
            self.end.set_exception(error)
            self.end.exception()  # Whoever waits is told; if nobody does, nobody needs to know.


class Tunnel:
    """A WebSocket that speaks SPDY, made for a Pod.

    The far end has no flow control: where the Pod does not take an upload, it reads nothing at all. So there
    is one connection at a time. What has ended here lives on there for a second, but the next need not wait
    for that: it may come when five pings are back, one from each worker there, and nothing of the old one.

    Parameters
    ----------
    socket : aiohttp.ClientWebSocketResponse
    uid : str
        Of the Pod. The tunnel outlives it.
    freed : callable
        Called whenever it may be given to the next connection.

    Attributes
    ----------
    born, heard, asked
        As in `upkeep.Seen`.
    is_taken : bool
        Whether it is given to a connection.
    dropped : str
        Why it was ended from here; empty if it was not.
    """

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse[bool], uid: str, freed: Callable[[], None]
    ) -> None:
        self.uid = uid
        self.born = self.heard = time.monotonic()
        self.asked: float | None = None
        self.is_taken = False
        self.dropped = ""
        self._socket = socket
        self._peer = socket.get_extra_info("socket")
        self._freed = freed
        self._client = TunnelClient()
        self._connections: dict[int, _Connection] = {}
        self._current: _Connection | None = None
        self._pongs: set[int] = set()
        self._is_noisy = False
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of any connection is on it."""
        return not self.is_taken and not self._connections

    @property
    def is_free(self) -> bool:
        """Whether it may be given to the next connection."""
        return not (self.is_taken or self._pongs or self._is_noisy or self.dropped)

    def ask(self) -> None:
        """Send a ping; whatever comes next is its answer."""
        self.asked = time.monotonic()
        self._client.ping()
        self._send_soon()

    def drop(self, why: str) -> None:
        """End it at once; what is still on it is broken off."""
        self.dropped = self.dropped or why
        hang_up(self._peer)

    async def run(self) -> None:
        """Take what comes until the tunnel is over.

        Raises
        ------
        ForwardFailed, Unreachable
            Always, unless it is cancelled.
        """
        reason: BaseException = ConnectionAbortedError("The port-forward was closed.")
        try:
            await self._receive_all()
        except KubeError as error:
            reason = error
            raise
        finally:
            for connection in self._connections.values():
                connection.finish(reason)
            for task in self._sending:
                task.cancel()
            await leave(self._socket, in_order=not self._connections)

    async def carry(self, port: int, local: LocalEnd) -> None:
        """Carry a connection to a port of the Pod until either side has ended it.

        Reading pauses on either side for as long as the other does not take what was read.

        Raises
        ------
        ForwardFailed, Unreachable
            If the Pod's side failed, or the tunnel.
        ConnectionError
            If the local side broke.
        """
        number = self._client.open(port)
        connection = self._connections[number] = self._current = _Connection(local)
        upload = asyncio.create_task(self._upload(number, local))
        try:
            await asyncio.wait({upload, connection.end}, return_when=asyncio.FIRST_COMPLETED)
            if not connection.end.done():
                upload.result()
                self._client.finish(number)
                self._release(connection)
            await connection.end
            self._release(connection)
        except BaseException:
            self._client.abandon(number)
            if self._current is connection or not self.is_taken:
                # What the Pod still sends, and what it has not taken, would be in the way of the next.
                self.drop("A connection on it failed.")
            raise
        finally:
            upload.cancel()
            del self._connections[number]

    async def _upload(self, number: int, local: LocalEnd) -> None:
        """Carry local bytes to the Pod until the local end of input."""
        await self._send()
        while data := await local.read():
            self._client.data(number, data)
            await self._send()

    def _release(self, connection: _Connection) -> None:
        """Let the tunnel go on to the next connection, once it is clear that the way is free."""
        if self._current is connection:
            self._current, self.is_taken = None, False
        elif not self._is_noisy:
            return
        self._is_noisy = False
        self._pongs = {self._client.ping() for _ in range(WORKERS)}
        if self.asked is None:
            self.asked = time.monotonic()
        self._send_soon()

    async def _send(self) -> None:
        if data := self._client.outgoing():
            # If that fails, the other direction fails too, and knows why.
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await self._socket.send_bytes(data)

    def _send_soon(self) -> None:
        task = asyncio.create_task(self._send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _receive_all(self) -> None:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                why = message.extra or message.data or "no reason was given"
                raise Unreachable(self.dropped or f"The way through the API server was cut ({why}).")
            self.heard, self.asked = time.monotonic(), None
            try:
                for event in self._client.receive(message.data):
                    if isinstance(event, Data):
                        self._deliver(*event)
                    else:
                        self._take(event)
            except ProtocolError as error:
                raise ForwardFailed(f"The API server broke the protocol: {error}") from error
            if self._current is not None and self._current.local.is_full:
                await self._drained(self._current)

    async def _drained(self, connection: _Connection) -> None:
        """Wait until the local end has taken what was read: it holds the Pod back, and nobody else."""
        try:
            await connection.local.drain()
        except ConnectionError as error:
            connection.finish(error)

    def _take(self, event: ClientEvent) -> None:
        match event:
            case Ended(number) if number in self._connections:
                self._connections[number].finish()
            case Failed(number, message) if number in self._connections:
                self._connections[number].finish(ForwardFailed(message.strip()))
            case Pong(number) if number in self._pongs:
                self._pongs.remove(number)
                if self.is_free:
                    self._freed()
            case GoneAway():
                raise Unreachable("The API server has ended the tunnel.")

    def _deliver(self, number: int, payload: bytes) -> None:
        connection = self._connections.get(number)
        if connection is None:
            return
        connection.local.write(payload)
        if connection is not self._current:
            self._is_noisy = True
            if connection.local.unsent > LEFT_OVER:
                connection.finish(ConnectionAbortedError("It was ended on this side, and read no more."))
