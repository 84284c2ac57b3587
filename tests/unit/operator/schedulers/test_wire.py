"""Dask's protocol as we read it; real schedulers answer in the integration tests."""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import Any

import msgpack
import pytest

from dask_gpu_k8s.operator.schedulers import wire as dask_wire


def frames(*parts: bytes) -> bytes:
    prelude = struct.pack(f"<{1 + len(parts)}Q", len(parts), *map(len, parts))
    body = b"".join(parts)
    return struct.pack("<Q", len(prelude) + len(body)) + prelude + body


async def read(data: bytes) -> Any:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return await dask_wire.read(stream)


async def test_what_is_written_can_be_read():
    assert await read(dask_wire.pack({"op": "x", "n": [1, 2]})) == {"op": "x", "n": (1, 2)}


async def test_it_is_written_as_distributed_does():
    protocol = pytest.importorskip("distributed.protocol")
    message = {"op": "retire_workers", "workers": ["tcp://a:1"], "remove": False}
    packed = dask_wire.pack(message)
    _, count, length = struct.unpack_from("<QQQ", packed)
    assert (count, length) == (1, len(packed) - 24)
    assert protocol.loads([packed[24:]]) == {**message, "workers": ("tcp://a:1",)}


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("an answer was unpickled",)


async def test_a_pickle_in_an_answer_stays_shut():
    header = msgpack.packb({"pickled-obj": pickle.dumps(Bomb()), "num-sub-frames": 0})
    answer = await read(frames(msgpack.packb({"workers": {"__Pickled__": 1}}), header))
    assert answer == {"workers": {"__Pickled__": 1}}


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        struct.pack("<QQ", 8, 0),
        struct.pack("<QQQ", 24, 1, 2**40),
        frames(b"\xc1"),
        frames(msgpack.packb({1: 2}) + b"more"),
        frames(b"\x81\x81\x01\x02\x03"),  # a dict as a key
    ],
)
async def test_other_answers_are_refused(data):
    with pytest.raises(dask_wire.WireError):
        await read(data)


async def test_an_answer_that_ends_early():
    with pytest.raises(EOFError):
        await read(dask_wire.pack({"a": 1})[:-1])
