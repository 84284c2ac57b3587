"""The sockets of streams that were left early, and how to see them closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

CLOSING_TURNS = 100
"""Turns of the event loop that closing may take; two are enough as a rule."""


def hang_up(transport_socket: Any) -> None:
    """Cut a connection, given its transport's ``get_extra_info("socket")``; nothing waits to be sent then."""
    if transport_socket is not None and transport_socket.fileno() != -1:
        with contextlib.suppress(OSError):
            transport_socket.shutdown(socket.SHUT_RDWR)


class Leftovers:
    """Remembers connections that end with a stream rather than go back to aiohttp's pool.

    Their TLS says good-bye to the server and waits for the answer, up to half a minute, and nobody
    waits for that: an event loop that ends meanwhile leaves open sockets behind.
    """

    def __init__(self) -> None:
        self._sockets: list[Any] = []

    def remember(self, transport_socket: Any) -> None:
        """Remember a socket, as a transport's ``get_extra_info("socket")`` gives it."""
        self._sockets = [each for each in self._sockets if each.fileno() != -1]
        if transport_socket is not None:
            self._sockets.append(transport_socket)

    async def close(self) -> None:
        """Cut what is still open, and wait until it is closed."""
        left, self._sockets = self._sockets, []
        for each in left:
            hang_up(each)
        for _ in range(CLOSING_TURNS):
            if all(each.fileno() == -1 for each in left):
                return
            await asyncio.sleep(0)
