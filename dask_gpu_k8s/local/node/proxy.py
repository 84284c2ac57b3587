"""Listens where Services and node ports are, and passes connections on to endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dask_gpu_k8s.local.node.endpoints import Route

_CHUNK = 262_144
NODE_HOST = "127.0.0.1"

Place = tuple[str, int]


@dataclass
class _Listener:
    targets: tuple[Place, ...]
    server: asyncio.Server
    turns: itertools.count[int] = field(default_factory=itertools.count)


class Proxy:
    """Keeps one listening socket for each place where a Service with ready endpoints can be reached.

    A Service without any has none: connections to it are refused, as by a node's packet filter.

    Parameters
    ----------
    complain : callable
        Gets the place and the reason where it cannot listen.
    """

    def __init__(self, complain: Callable[[Place, str], None]) -> None:
        self._complain = complain
        self._listeners: dict[Place, _Listener] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def update(self, routes: Iterable[Route]) -> None:
        """Listen for these routes and no others."""
        wanted = {place: route.targets for route in routes if route.targets for place in places(route)}
        for place in [place for place in self._listeners if place not in wanted]:
            self._listeners.pop(place).server.close()
        for place, targets in wanted.items():
            if place in self._listeners:
                self._listeners[place].targets = targets
            else:
                await self._listen(place, targets)

    async def _listen(self, place: Place, targets: tuple[Place, ...]) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            known = self._listeners.get(place)
            if known is None:
                writer.close()
            else:
                await _forward(reader, writer, known.targets[next(known.turns) % len(known.targets)])

        try:
            server = await asyncio.start_server(accept, *place, limit=_CHUNK)
        except OSError as error:
            self._complain(place, str(error.strerror or error))
            return
        self._listeners[place] = _Listener(targets, server)

    async def close(self) -> None:
        """Stop listening and cut all connections."""
        await self.update([])
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


def places(route: Route) -> list[Place]:
    """Return where a route begins."""
    outside = [(NODE_HOST, route.node_port)] if route.node_port else []
    return [(route.address, route.port), *outside]


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Place) -> None:
    try:
        far_reader, far_writer = await asyncio.open_connection(*target, limit=_CHUNK)
    except OSError:
        writer.transport.abort()
        return
    try:
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    except OSError:
        # One side broke off: the other must see that, and not a clean end.
        writer.transport.abort()
        far_writer.transport.abort()
    finally:
        writer.close()
        far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
