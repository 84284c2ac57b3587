"""One exec over one WebSocket: the command's streams and the client's messages, each way in its own task."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader

from aiohttp import WSMsgType, web

from dask_gpu_k8s.kube.websocket import (
    STDERR,
    STDIN,
    STDOUT,
    Closed,
    Data,
    ExecServer,
    ProtocolError,
    Resized,
)
from dask_gpu_k8s.local.streams import ExecProcess

_PIECE = 32 * 1024


async def run_exec(socket: web.WebSocketResponse, process: ExecProcess) -> None:
    """Serve an exec until its command has ended, or the client has gone."""
    server = ExecServer()
    sending = asyncio.create_task(_send_all(socket, process, server))
    receiving = asyncio.create_task(_receive_all(socket, process, server))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    except ConnectionError:
        pass  # the client went
    finally:
        process.kill()
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)
        await socket.close()


async def _send_all(socket: web.WebSocketResponse, process: ExecProcess, server: ExecServer) -> None:
    """Send all output, then how the command ended: clients stop reading at the latter."""
    outputs = [(STDOUT, process.stdout), (STDERR, process.stderr)]
    await asyncio.gather(
        *(_copy(socket, server, channel, reader) for channel, reader in outputs if reader is not None)
    )
    await socket.send_bytes(server.exit(await process.wait()))


async def _copy(
    socket: web.WebSocketResponse, server: ExecServer, channel: int, reader: StreamReader
) -> None:
    while piece := await reader.read(_PIECE):
        await socket.send_bytes(server.output(channel, piece))


async def _receive_all(socket: web.WebSocketResponse, process: ExecProcess, server: ExecServer) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            continue
        try:
            event = server.receive(message.data)
        except ProtocolError as error:
            await socket.send_bytes(server.failure(str(error)))
            return
        if isinstance(event, Resized):
            process.resize(event.width, event.height)
        elif isinstance(event, Data) and process.stdin is not None:
            await _feed(process, event.payload)
        elif isinstance(event, Closed) and event.channel == STDIN and process.stdin is not None:
            process.stdin.close()


async def _feed(process: ExecProcess, payload: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(payload)
        await process.stdin.drain()
    except (ConnectionError, RuntimeError):
        pass  # the command reads no more; its output still matters
