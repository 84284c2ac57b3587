"""The wire between a client and an API server: it can be cut, taken away, and made to swallow everything."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import yaml


class Wire:
    """Listens on a port of its own and passes on what comes, as bytes, in a thread; used with ``with``.

    Parameters
    ----------
    kubeconfig : Path
        Of the API server.
    folder : Path
        For the kubeconfig that leads here.

    Attributes
    ----------
    kubeconfig : Path
        Leads here.
    up, down : int
        Bytes passed on to the server and from it.
    opened : int
        How many connections there have been.
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._config: dict[str, Any] = yaml.safe_load(Path(kubeconfig).read_text())
        self.kubeconfig = folder / "kubeconfig-of-the-wire"
        self.up = self.down = self.opened = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[_Pipe] = set()
        self._flows = asyncio.Event()
        self._flows.set()

    def __enter__(self) -> Wire:
        (cluster,) = (each["cluster"] for each in self._config["clusters"])
        target = urlsplit(cluster["server"])
        self._target = target.hostname, target.port or 443
        self._thread.start()
        self.connect()
        cluster["server"] = f"https://127.0.0.1:{self._port}"
        cluster["tls-server-name"] = target.hostname
        self.kubeconfig.write_text(yaml.safe_dump(self._config))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Break all connections off; new ones are passed on."""
        self._run(self._cut())

    def take_away(self) -> None:
        """Break all connections off, and refuse new ones until `connect`."""
        self._run(self._take_away())

    def connect(self) -> None:
        """Be there again, on the same port."""
        self._run(self._connect())

    def forget(self) -> None:
        """Swallow all that comes on the connections there are, without a word; new ones are passed on."""
        self._run(self._forget())

    def pause(self) -> None:
        """Hold back all that comes, and new connections, until `resume`; nothing is lost."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def resume(self) -> None:
        """Pass on what was held back."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def flows(self) -> None:
        """Wait until something may be passed on."""
        await self._flows.wait()

    async def _connect(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _take_away(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _end(self) -> None:
        await self._take_away()
        while asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.sleep(0)  # What was accepted just now has yet to begin.
            await self._cut()

    async def _cut(self) -> None:
        pipes = list(self._pipes)
        for pipe in pipes:
            pipe.task.cancel()
        await asyncio.gather(*(pipe.task for pipe in pipes), return_exceptions=True)

    async def _forget(self) -> None:
        for pipe in self._pipes:
            pipe.is_forgotten = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        pipe = _Pipe(self)
        self._pipes.add(pipe)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._flows.wait()
                await pipe.carry(reader, writer, *self._target)
        finally:
            self._pipes.discard(pipe)
            _reset(writer)


class _Pipe:
    """One connection."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.is_forgotten = False

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        there, to_there = await asyncio.open_connection(host, port)
        ways = {
            asyncio.create_task(self._copy(reader, to_there, "up")),
            asyncio.create_task(self._copy(there, writer, "down")),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self.is_forgotten:
                await asyncio.Event().wait()
        finally:
            _reset(to_there)  # First, since whoever is cut while it ends comes no further than the wait.
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        while data := await reader.read(1 << 16):
            if self.is_forgotten:
                continue
            await self._wire.flows()
            setattr(self._wire, way, getattr(self._wire, way) + len(data))
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
