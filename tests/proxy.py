"""An HTTP proxy that knows one thing: CONNECT."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping


class Proxy:
    """Tunnels connections, and remembers where to.

    Parameters
    ----------
    names : mapping, optional
        Where ``HOST:PORT`` is really to be found, for names that nobody else knows.

    Attributes
    ----------
    url : str
    asked : list of str
        ``HOST:PORT`` of each tunnel.
    authorizations : set of str
        What was shown to the proxy, as ``Proxy-Authorization``.
    """

    def __init__(self, names: Mapping[str, tuple[str, int]] | None = None) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.authorizations: set[str] = set()
        self._names = names or {}
        self._tunnels: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def open(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
        """Listen on 127.0.0.1."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.close()
            for tunnel in self._tunnels:
                tunnel.cancel()
            await asyncio.gather(*self._tunnels, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnel = asyncio.create_task(self._tunnel(reader, writer))
        self._tunnels.add(tunnel)
        tunnel.add_done_callback(self._tunnels.discard)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, target, _ = head[0].split()
            assert method == "CONNECT", "what is not encrypted is no Kubernetes"
            self.asked.append(target)
            shown = [line.partition(": ")[2] for line in head if line.lower().startswith("proxy-auth")]
            self.authorizations.update(shown)
            host, _, port = target.rpartition(":")
            there, back = await asyncio.open_connection(*self._names.get(target, (host, int(port))))
            with contextlib.closing(back):
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                ways = {asyncio.create_task(_copy(*way)) for way in ((reader, back), (there, writer))}
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
