"""The log of one run of a container: a file of time-stamped records, written and read while the run goes on.

A record is a line ``<time> <stream> <F|P> <bytes>``, as in Kubernetes' container log format; ``P`` is a piece
of a line whose rest follows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from dask_gpu_k8s.local.node.processes import Signal
from dask_gpu_k8s.local.streams import LogOptions

_CHUNK = 65536


def encode(stream: str, data: bytes, now: datetime) -> bytes:
    """Write what a process printed as records."""
    head = b"%s000Z %s " % (_time(now), stream.encode())
    *lines, rest = data.split(b"\n")
    records = [b"%sF %s\n" % (head, line) for line in lines]
    if rest:
        records.append(b"%sP %s\n" % (head, rest))
    return b"".join(records)


def _time(moment: datetime) -> bytes:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f").encode()


class Decoder:
    """Turns records back into what was printed."""

    def __init__(self, *, timestamps: bool = False, since: datetime | None = None) -> None:
        self._timestamps = timestamps
        self._since = (
            since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f").encode() if since else b""
        )
        self._at_line_start = True

    def decode(self, records: bytes) -> bytes:
        """Turn whole records into text."""
        return b"".join(self._decode(record) for record in records.split(b"\n") if record)

    def _decode(self, record: bytes) -> bytes:
        time, _, rest = record.partition(b" ")
        _, _, rest = rest.partition(b" ")
        tag, _, text = rest.partition(b" ")
        if time < self._since:
            return b""
        start = time + b" " if self._timestamps and self._at_line_start else b""
        self._at_line_start = tag == b"F"
        return start + text + (b"\n" if self._at_line_start else b"")


class Log:
    """The log of one run.

    Attributes
    ----------
    path : pathlib.Path
    finished : bool
        Whether nothing more will be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = False
        self.changed = Signal()
        self._file = open(path, "ab", buffering=0)  # closed in finish()
        self._open: dict[int, str] = {}
        self._loop = asyncio.get_running_loop()

    def pipe(self, stream: str) -> int:
        """Make a pipe whose output is logged as `stream`; return the end to write to."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        self._open[reader] = stream
        self._loop.add_reader(reader, self._read, reader)
        return writer

    def _read(self, reader: int) -> None:
        try:
            data = os.read(reader, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self._file.write(encode(self._open[reader], data, datetime.now(timezone.utc)))
        else:
            self._close(reader)
        self.changed.give()

    def _close(self, reader: int) -> None:
        del self._open[reader]
        self._loop.remove_reader(reader)
        os.close(reader)

    async def drained(self) -> None:
        """Wait until every pipe is at its end."""
        while self._open:
            await self.changed.wait()

    def finish(self) -> None:
        """Close the file; nothing more will come."""
        for reader in tuple(self._open):
            self._close(reader)
        self._file.close()
        self.finished = True
        self.changed.give()

    async def read(self, options: LogOptions) -> AsyncIterator[bytes]:
        """Yield the log, or the wanted part of it; with ``follow``, until the run has ended."""
        since = None
        if options.since_seconds is not None:
            since = datetime.now(timezone.utc) - timedelta(seconds=options.since_seconds)
        decoder = Decoder(timestamps=options.timestamps, since=since)
        left = options.limit_bytes
        file = os.open(self.path, os.O_RDONLY)
        try:
            offset = 0 if options.tail is None else _tail_offset(self.path, options.tail)
            while True:
                finished = self.finished
                for records in _records(file, offset):
                    offset += len(records)
                    text = decoder.decode(records)[:left]
                    left = left if left is None else left - len(text)
                    if text:
                        yield text
                if finished or not options.follow or left == 0:
                    return
                if not self.finished and offset == os.fstat(file).st_size:
                    await self.changed.wait()
        finally:
            os.close(file)


def _records(file: int, offset: int) -> Iterator[bytes]:
    """Read whole records from an offset to the end; each was written at once and fits twice a chunk."""
    while data := os.pread(file, 2 * _CHUNK, offset):
        whole = data[: data.rfind(b"\n") + 1]
        offset += len(whole)
        yield whole


def _tail_offset(path: Path, lines: int) -> int:
    """Find where the last `lines` lines begin: records that end a line are counted from the back."""
    if lines <= 0:
        return path.stat().st_size
    ends = [0]
    offset = 0
    with open(path, "rb") as file:
        for record in file:
            offset += len(record)
            if record.split(b" ", 3)[2] == b"F":
                ends.append(offset)
    if ends[-1] != offset:
        ends.append(offset)
    return ends[max(0, len(ends) - 1 - lines)]
