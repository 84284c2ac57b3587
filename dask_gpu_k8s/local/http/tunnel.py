"""Many connections to a Pod's ports over one WebSocket, as `kubectl port-forward` asks for them.

It behaves as a container runtime does: the end of one direction is not passed on, but a second later the
connection is closed both ways; an upload that the Pod does not take holds back its own connection first,
and then, since nothing in the tunnel can be refused, all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter

from aiohttp import WSMsgType, web

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.spdy.events import Broken, Data, Ended, GoneAway, Opened, ServerEvent
from dask_gpu_k8s.kube.spdy.server import TunnelServer
from dask_gpu_k8s.kube.websocket import ProtocolError
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.http.portforward import failure, refusal
from dask_gpu_k8s.local.streams import PodStreams

GRACE = 1.0
"""Seconds that one direction lives on after the other has ended."""

_PIECE = 32 * 1024
_QUEUE = 50
"""How many pieces of an upload may wait for the Pod."""


async def run_tunnel(socket: web.WebSocketResponse, streams: PodStreams, pod: Manifest) -> None:
    """Serve a tunnel until the client ends it, breaks the protocol or goes."""
    await _Tunnel(socket, streams, pod).run()


class _Inbox:
    """What the client has sent for one connection."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)
        self._closed = False

    async def put(self, piece: bytes) -> None:
        """Add a piece, or the end (no bytes), once there is room."""
        if not self._closed:
            await self._queue.put(piece)

    async def get(self) -> bytes:
        """Wait for a piece, and take it."""
        return await self._queue.get()

    def close(self) -> None:
        """Take no more, and let go who waits for room."""
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()


class _Tunnel:
    def __init__(self, socket: web.WebSocketResponse, streams: PodStreams, pod: Manifest) -> None:
        self._socket = socket
        self._streams = streams
        self._pod = pod
        self._server = TunnelServer()
        self._sending = asyncio.Lock()
        self._inboxes: dict[int, _Inbox] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        try:
            await self._receive_all()
        except ConnectionError:
            pass  # the client went
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._socket.close()

    async def _receive_all(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY or not await self._understand(message.data):
                return

    async def _understand(self, message: bytes) -> bool:
        """Act on a message; return False if it ends the tunnel."""
        goes_on = True
        try:
            for event in self._server.receive(message):
                await self._flush()
                await self._take(event)
                goes_on = not isinstance(event, GoneAway)
        except ProtocolError:
            goes_on = False
        if not goes_on:
            self._server.goodbye()
        await self._flush()
        return goes_on

    async def _flush(self) -> None:
        async with self._sending:
            if data := self._server.outgoing():
                await self._socket.send_bytes(data)

    async def _take(self, event: ServerEvent) -> None:
        match event:
            case Opened(number, port):
                self._start(number, port)
            case Data(number, payload) if number in self._inboxes:
                await self._inboxes[number].put(payload)
            case Ended(number) if number in self._inboxes:
                await self._inboxes[number].put(b"")
            case Broken(number) if number in self._tasks:
                self._tasks[number].cancel()

    def _start(self, number: int, port: int) -> None:
        inbox = self._inboxes[number] = _Inbox()
        task = self._tasks[number] = asyncio.create_task(self._serve(number, port, inbox))

        def forget(_: asyncio.Task[None]) -> None:
            del self._inboxes[number], self._tasks[number]
            inbox.close()

        task.add_done_callback(forget)

    async def _serve(self, number: int, port: int, inbox: _Inbox) -> None:
        await self._connect_and_carry(number, port, inbox)
        inbox.close()
        with contextlib.suppress(ConnectionError):
            await self._flush()

    async def _connect_and_carry(self, number: int, port: int, inbox: _Inbox) -> None:
        try:
            reader, writer = await self._streams.connect(self._pod, port)
        except (OSError, StatusError) as error:
            self._server.fail(number, refusal(self._pod, port, error))
            return
        try:
            await self._carry(number, inbox, reader, writer)
            self._server.finish(number)
        except OSError as error:
            self._server.fail(number, failure(self._pod, port, "", error))
        finally:
            writer.transport.abort()

    async def _carry(self, number: int, inbox: _Inbox, reader: StreamReader, writer: StreamWriter) -> None:
        directions = {
            asyncio.create_task(_upload(inbox, writer)),
            asyncio.create_task(self._download(number, reader)),
        }
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            ended, _ = await asyncio.wait(directions, timeout=GRACE)
            for task in ended:
                task.result()
            await _close(writer)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _download(self, number: int, reader: StreamReader) -> None:
        while piece := await reader.read(_PIECE):
            self._server.data(number, piece)
            await self._flush()


async def _upload(inbox: _Inbox, writer: StreamWriter) -> None:
    while piece := await inbox.get():
        writer.write(piece)
        await writer.drain()


async def _close(writer: StreamWriter) -> None:
    """Close what may still hold bytes that the Pod has not taken; a Pod that does not want them is left."""
    writer.close()
    with contextlib.suppress(asyncio.TimeoutError, OSError):
        await asyncio.wait_for(writer.wait_closed(), GRACE)
