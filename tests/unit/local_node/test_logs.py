"""Log records: what was printed comes back, whole or in part."""

from __future__ import annotations

import asyncio
import os

import pytest

from dask_gpu_k8s.local.node.logs import Decoder, Log, encode
from dask_gpu_k8s.local.streams import LogOptions
from tests.unit.local_node.builders import at


def test_lines_and_pieces_come_back():
    records = encode("stdout", b"one\ntw", at(0)) + encode("stdout", b"o\n\nthree", at(1))
    assert Decoder().decode(records) == b"one\ntwo\n\nthree"


def test_times_stand_before_lines_not_before_pieces():
    records = encode("stdout", b"one\ntw", at(0)) + encode("stderr", b"o\n", at(1))
    assert Decoder(timestamps=True).decode(records) == (
        b"2026-03-01T12:00:00.000000000Z one\n2026-03-01T12:00:00.000000000Z two\n"
    )


def test_since():
    records = encode("stdout", b"old\n", at(0)) + encode("stdout", b"new\n", at(9))
    assert Decoder(since=at(5)).decode(records) == b"new\n"


async def written(tmp_path, *pieces: bytes) -> Log:
    log = Log(tmp_path / "log")
    writer = log.pipe("stdout")
    for piece in pieces:
        os.write(writer, piece)
        await log.changed.wait()
    os.close(writer)
    await log.drained()
    log.finish()
    return log


async def text(log: Log, **options) -> bytes:
    return b"".join([piece async for piece in log.read(LogOptions(**options))])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b"a\nb\nc\nd"),
        ({"tail": 0}, b""),
        ({"tail": 1}, b"d"),
        ({"tail": 2}, b"c\nd"),
        ({"tail": 99}, b"a\nb\nc\nd"),
        ({"limit_bytes": 3}, b"a\nb"),
        ({"follow": True}, b"a\nb\nc\nd"),
        ({"since_seconds": 3600}, b"a\nb\nc\nd"),
    ],
)
async def test_parts(tmp_path, options, expected):
    log = await written(tmp_path, b"a\nb", b"\nc\nd")
    assert await text(log, **options) == expected


async def test_follow_ends_with_the_run(tmp_path):
    log = Log(tmp_path / "log")
    writer = log.pipe("stdout")
    reading = asyncio.get_running_loop().create_task(text(log, follow=True))
    for piece in (b"one\n", b"two\n"):
        os.write(writer, piece)
        await log.changed.wait()
    assert not reading.done()
    os.close(writer)
    await log.drained()
    log.finish()
    assert await reading == b"one\ntwo\n"


async def test_long_lines(tmp_path):
    log = await written(tmp_path, b"x" * 60_000, b"y" * 60_000, b"\n" + b"\n" * 20_000)
    assert await text(log) == b"x" * 60_000 + b"y" * 60_000 + b"\n" * 20_001
    assert await text(log, tail=20_001) == b"x" * 60_000 + b"y" * 60_000 + b"\n" * 20_001
