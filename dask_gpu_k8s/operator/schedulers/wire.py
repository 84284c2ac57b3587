"""Dask's own protocol, as much of it as it takes to ask a scheduler something.

Written here, and not taken from distributed, because there every answer may carry pickles, which are
unpickled on arrival: then whoever can run a Pod that looks like a scheduler could run code in the
operator, which may do more than they. Here an answer is data and nothing else. It also keeps
distributed, with its memory and its second of import, out of the operator.

A message is a list of frames behind their lengths, all numbers 64 bit little-endian: the bytes that
follow, the count of frames, the length of each, the frames. The first frame is msgpack; others belong
to serialized or pickled objects, in whose place the first frame has a small dict, and are dropped. A
connection begins with one message from each side that says what it can do. Source:
``distributed/comm/tcp.py``, ``comm/core.py`` and ``protocol/core.py``; the same in 2025.2.0 and
2026.8.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgpack  # type: ignore[import-untyped]

from dask_gpu_k8s.kube.session import keep_alive

MAX_MESSAGE = 128 * 2**20
"""Longest answer that is read, in bytes: 10,000 workers fill some 30 MB."""

MAX_FRAMES = 10_000

GOODBYE = 1.0
"""Seconds that the end of a connection may take."""

_HELLO = {"compression": None, "python": tuple(sys.version_info[:3]), "pickle-protocol": 4}


class WireError(Exception):
    """What came over the connection is not Dask's protocol, or is an error of the other side."""


def pack(message: dict[str, Any]) -> bytes:
    """Write a message of plain data as it goes over the wire."""
    frame: bytes = msgpack.packb(message, use_bin_type=True)
    return struct.pack("<QQQ", 16 + len(frame), 1, len(frame)) + frame


def unpack(frame: bytes) -> Any:
    """Read the first frame of a message.

    Raises
    ------
    WireError
    """
    try:
        # Lists as tuples, because Dask's dicts may have them as keys.
        return msgpack.unpackb(frame, raw=False, use_list=False, strict_map_key=False)
    except (TypeError, ValueError, msgpack.exceptions.UnpackException) as error:
        raise WireError(f"an answer that is not msgpack: {error}") from error


async def read(stream: asyncio.StreamReader) -> Any:
    """Read one message.

    Raises
    ------
    WireError, EOFError, OSError
    """
    (length, count) = struct.unpack("<QQ", await stream.readexactly(16))
    if not 1 <= count <= MAX_FRAMES or length > MAX_MESSAGE:
        raise WireError("an answer that does not look like Dask's protocol")
    lengths = struct.unpack(f"<{count}Q", await stream.readexactly(8 * count))
    if sum(lengths) > MAX_MESSAGE:
        raise WireError(f"an answer of {sum(lengths)} bytes")
    frames = [await stream.readexactly(length) for length in lengths]
    return unpack(frames[0])


@contextlib.asynccontextmanager
async def connect(host: str, port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
    """Connect to a Dask server for the length of an ``async with``, by TLS if there is a context.

    Raises
    ------
    WireError, EOFError, OSError
    """
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        keep_alive(writer.get_extra_info("socket"))
        writer.write(pack(_HELLO))
        await read(reader)
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            # Under TLS the other side has to agree to the end, and may be gone.
            await asyncio.wait_for(writer.wait_closed(), GOODBYE)


class Connection:
    """An open connection to a Dask server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def call(self, op: str, **arguments: Any) -> Any:
        """Call a handler of the server and return its answer.

        Parameters
        ----------
        op : str
            Name of the handler, e.g. ``"identity"``.
        **arguments
            Plain data.

        Raises
        ------
        WireError
            If the handler failed there.
        EOFError, OSError
            If the connection broke.
        """
        self._writer.write(pack({"op": op, "reply": True, **arguments}))
        await self._writer.drain()
        answer = await read(self._reader)
        if isinstance(answer, dict) and answer.get("status") == "uncaught-error":
            raise WireError(str(answer.get("exception_text") or answer.get("text") or "an error"))
        return answer
