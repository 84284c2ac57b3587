"""The embedded API server in the loop of the test, with one Pod that lives there too."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path

import psutil

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.http.server import Server
from dask_gpu_k8s.local.tls import make_certificates
from tests.integration.api_server.embedded import NoNode, kubeconfig_for
from tests.integration.api_server.gadgets import pod

ECHO, FLOOD, STUCK, SLOW = range(1, 5)


class OnePod(NoNode):
    """A node whose Pod lives in the loop of the test.

    It sends back, sends without end or reads nothing, by the port; to a fourth one nobody gets through.
    """

    def __init__(self) -> None:
        self._servers: dict[int, asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for port, serve in ((ECHO, self._echo), (FLOOD, self._flood), (STUCK, self._stuck)):
            self._servers[port] = await asyncio.start_server(serve, "127.0.0.1", 0)

    async def close(self) -> None:
        for server in self._servers.values():
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def connect(self, pod: Manifest, port: int) -> tuple[StreamReader, StreamWriter]:
        if port == SLOW:
            await asyncio.Event().wait()
        if port not in self._servers:
            raise ConnectionRefusedError
        return await asyncio.open_connection(*self._servers[port].sockets[0].getsockname())

    async def none_connected(self) -> bool:
        """Return whether the server has let go of the Pod."""
        ports = {server.sockets[0].getsockname()[1] for server in self._servers.values()}
        found = psutil.Process().net_connections("tcp")
        return not any(
            each.raddr and each.raddr.port in ports and each.status != "TIME_WAIT" for each in found
        )

    @contextlib.contextmanager
    def _served(self, writer: StreamWriter):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                yield
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _echo(self, reader: StreamReader, writer: StreamWriter) -> None:
        with self._served(writer):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()

    async def _flood(self, reader: StreamReader, writer: StreamWriter) -> None:
        with self._served(writer):
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()

    async def _stuck(self, reader: StreamReader, writer: StreamWriter) -> None:
        with self._served(writer):
            writer.transport.pause_reading()
            await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def one_pod(folder: Path) -> AsyncIterator[tuple[KubeClient, OnePod]]:
    """Run it; give a client and the Pod "one"."""
    node = OnePod()
    await node.start()
    certificates = make_certificates(["localhost"], ["127.0.0.1"])
    api = Api()
    server = Server(api, node)
    port = await server.start("127.0.0.1", 0, certificates.server_context(folder), "secret")
    api.create(POD, "default", pod("one", spec={"nodeName": "n"}))
    api.patch(POD, "default", "one", {"status": {"phase": "Running"}}, sub="status")
    config = kubeconfig_for(f"https://127.0.0.1:{port}", certificates.authority, "secret")
    async with KubeClient.connect(config) as client:
        yield client, node
    await server.close()
    await node.close()
