"""The sockets of a session, and how to see them closed."""

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


class Sockets:
    """Makes the sockets of a session, and closes those that are left when it ends.

    aiohttp closes the connections in its pool. One that ends with a stream, or with a request that was
    cancelled, says good-bye to the server first and waits for the answer, up to half a minute, and nobody
    waits for that: an event loop that ends meanwhile leaves open sockets behind. And a request that is
    cancelled while it connects may leave one that no connection has taken over yet.
    """

    def __init__(self) -> None:
        self._open: list[socket.socket] = []

    def make(self, address: tuple[Any, ...]) -> socket.socket:
        """Make a socket for an address as ``getaddrinfo`` gives it."""
        made = socket.socket(*address[:3])
        self._open = [each for each in self._open if each.fileno() != -1]
        self._open.append(made)
        return made

    async def close(self) -> None:
        """Cut what is still open, and wait until it is closed."""
        left, self._open = self._open, []
        for each in left:
            hang_up(each)
        for _ in range(CLOSING_TURNS):
            if all(each.fileno() == -1 for each in left):
                return
            await asyncio.sleep(0)
        for each in left:
            each.close()  # Its connection would have heard by now; so it has none.
