"""One port-forward over one WebSocket: a TCP connection into the Pod for each port asked for."""

from __future__ import annotations

import asyncio
import os
from asyncio import StreamReader, StreamWriter

from aiohttp import WSMsgType, web

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.websocket import PortForwardServer, ProtocolError
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.streams import PodStreams

_PIECE = 64 * 1024


async def run_port_forward(
    socket: web.WebSocketResponse, streams: PodStreams, pod: Manifest, ports: list[int]
) -> None:
    """Serve a port-forward until either side has closed."""
    server = PortForwardServer(ports)
    writers: dict[int, StreamWriter] = {}
    tasks: list[asyncio.Task[None]] = []
    try:
        for message in server.opening():
            await socket.send_bytes(message)
        for index, port in enumerate(ports):
            try:
                reader, writers[index] = await streams.connect(pod, port)
            except (OSError, StatusError) as error:
                await socket.send_bytes(server.failure(index, refusal(pod, port, error)))
                continue
            tasks.append(asyncio.create_task(_copy(socket, server, index, reader)))
        if tasks:
            tasks.append(asyncio.create_task(_receive_all(socket, server, writers)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except ConnectionError:
        pass  # the client went
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers.values():
            writer.close()
        await socket.close()


def refusal(pod: Manifest, port: int, error: Exception) -> str:
    """Write what a client is told whose connection into the Pod could not be made."""
    namespace = pod["metadata"]["namespace"]
    return failure(
        pod, port, f'failed to connect to localhost:{port} inside namespace "{namespace}": ', error
    )


def failure(pod: Manifest, port: int, what: str, error: Exception) -> str:
    """Write what a client is told whose connection into the Pod failed, as a kubelet does."""
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number).lower() if number else str(error)
    return f"error forwarding port {port} to pod {pod['metadata']['name']}, uid : {what}{reason}"


async def _copy(
    socket: web.WebSocketResponse, server: PortForwardServer, index: int, reader: StreamReader
) -> None:
    while piece := await reader.read(_PIECE):
        await socket.send_bytes(server.data(index, piece))


async def _receive_all(
    socket: web.WebSocketResponse, server: PortForwardServer, writers: dict[int, StreamWriter]
) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            continue
        try:
            data = server.receive(message.data)
        except ProtocolError:
            return
        if data is not None and data.channel in writers:
            writer = writers[data.channel]
            writer.write(data.payload)
            await writer.drain()
