"""The local end of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

PIECE = 1 << 16
"""Bytes that are handed over at once, in either direction.

From 128 KiB on, glibc asks the kernel for memory each time, and gives it back: that costs more than copying.
"""

WAITING = 1 << 18
"""Bytes that may wait on either side."""


class LocalEnd(asyncio.BufferedProtocol):
    """One accepted connection, without copies: a stream's buffers cost as much as everything else.

    Parameters
    ----------
    accepted : callable
        Called with this when the connection is there.

    Attributes
    ----------
    is_full : bool
        Whether no more should be written until `drain` is over.
    """

    def __init__(self, accepted: Callable[[LocalEnd], None]) -> None:
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._buffer = memoryview(bytearray(PIECE))
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._has_ended = False
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self.is_full = False
        self._news = asyncio.Event()
        self._lost: asyncio.Future[None] = self._loop.create_future()

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell whoever accepts."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WAITING)
        self._accepted(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put what comes."""
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        """Keep what has come until somebody reads."""
        self._pieces.append(bytes(self._buffer[:size]))
        self._waiting += size
        if self._waiting >= WAITING:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """Note the end of input."""
        self._has_ended = True
        self._news.set()
        return True  # It may still be written to.

    def pause_writing(self) -> None:
        """Note that there is no room."""
        self.is_full = True

    def resume_writing(self) -> None:
        """Note that there is room again."""
        self.is_full = False
        self._news.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end of it all."""
        self._lost.set_result(None)
        self._news.set()

    # What the port-forward does

    async def read(self) -> bytes:
        """Wait for what has come; nothing at the end.

        Raises
        ------
        ConnectionResetError
            If the connection broke.
        """
        while not self._pieces and not self._has_ended:
            await self._change()
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if self._waiting < WAITING <= self._waiting + len(piece) and not self._has_ended:
            self._transport.resume_reading()
        return piece

    def write(self, payload: bytes) -> None:
        """Send, together with whatever else comes in the same turn of the event loop."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(payload)
        self._outgoing_size += len(payload)
        if self._outgoing_size >= PIECE:
            self._flush()

    def _flush(self) -> None:
        outgoing, self._outgoing, self._outgoing_size = self._outgoing, [], 0
        if outgoing and not self._transport.is_closing():
            self._transport.writelines(outgoing)

    @property
    def unsent(self) -> int:
        """Bytes that wait to be taken."""
        return self._outgoing_size + self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until there is room for more.

        Raises
        ------
        ConnectionResetError
            If the connection broke.
        """
        while self.is_full:
            await self._change()

    async def _change(self) -> None:
        if self._lost.done():
            raise ConnectionResetError("The local side has broken the connection off.")
        self._news.clear()
        await self._news.wait()

    def reset(self) -> None:
        """Break the connection off, so that the other end sees an error and not an end."""
        peer: socket.socket = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def close(self) -> None:
        """Send what is left, and end the connection."""
        self._flush()
        self._transport.close()
        try:
            await asyncio.shield(self._lost)
        except asyncio.CancelledError:
            self.reset()
            raise
