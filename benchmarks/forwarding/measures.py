"""What is measured of a forwarder."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.forwarding.far_end import ECHO, SINK, SOURCE
from benchmarks.forwarding.systems import Forwarder

SIZE = 128 << 20
KILOBYTE = bytes(1024)


@contextlib.contextmanager
def connected(forwarder: Forwarder, port: int) -> Iterator[socket.socket]:
    """Connect to a port of the far end."""
    with socket.create_connection(("127.0.0.1", forwarder.local[port]), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def read(connection: socket.socket, size: int) -> None:
    """Read so many bytes, and forget them."""
    buffer = memoryview(bytearray(1 << 20))
    while size:
        got = connection.recv_into(buffer[: min(size, len(buffer))])
        if not got:
            raise SystemExit("a connection ended early")
        size -= got


def round_trip(connection: socket.socket) -> float:
    """Send a kilobyte, and wait until it is back; seconds."""
    started = time.perf_counter()
    connection.sendall(KILOBYTE)
    read(connection, len(KILOBYTE))
    return time.perf_counter() - started


def download(forwarder: Forwarder) -> dict[str, float]:
    """Measure a download, in seconds and seconds of CPU for a GB."""
    with connected(forwarder, SOURCE) as connection:
        cpu, started = forwarder.cpu(), time.perf_counter()
        connection.sendall(b"%d\n" % SIZE)
        read(connection, SIZE)
        return _of_one_gb("a download", forwarder, cpu, started)


def upload(forwarder: Forwarder) -> dict[str, float]:
    """Measure an upload, in seconds and seconds of CPU for a GB."""
    piece = bytes(1 << 20)
    with connected(forwarder, SINK) as connection:
        cpu, started = forwarder.cpu(), time.perf_counter()
        connection.sendall(b"%d\n" % SIZE)
        for _ in range(SIZE // len(piece)):
            connection.sendall(piece)
        read(connection, 1)
        return _of_one_gb("an upload", forwarder, cpu, started)


def _of_one_gb(what: str, forwarder: Forwarder, cpu: float, started: float) -> dict[str, float]:
    seconds, cpu = time.perf_counter() - started, forwarder.cpu() - cpu
    return {f"{what.split()[1]} of 1 GB": seconds / SIZE * 1e9, f"CPU of {what} of 1 GB": cpu / SIZE * 1e9}


def round_trips(forwarder: Forwarder, count: int = 1000) -> dict[str, float]:
    """Measure round trips on one connection."""
    with connected(forwarder, ECHO) as connection:
        times = sorted(round_trip(connection) for _ in range(count))
    return {
        "round trip of 1 KB, p50": times[count // 2],
        "round trip of 1 KB, p99": times[count * 99 // 100],
    }


def new_connections(forwarder: Forwarder, count: int = 100) -> dict[str, float]:
    """Measure connections that are opened, used once and closed, one after another."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        with connected(forwarder, ECHO) as connection:
            round_trip(connection)
            times.append(time.perf_counter() - started)
    return {"new connection and first round trip": statistics.median(times)}


def at_once(forwarder: Forwarder, count: int = 20) -> dict[str, float]:
    """Measure how long connections take that are opened together, each used once and closed."""

    async def use() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", forwarder.local[ECHO])
        writer.write(KILOBYTE)
        await reader.readexactly(len(KILOBYTE))
        writer.close()

    async def use_all() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(use() for _ in range(count)))
        return time.perf_counter() - started

    return {"20 of them at once": asyncio.run(use_all())}


DOWNLOADER = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(sys.argv[2].encode() + b"\\n")
    left, buffer = int(sys.argv[2]), memoryview(bytearray(1 << 20))
    while left:
        got = connection.recv_into(buffer[:left])
        if got and left == int(sys.argv[2]):
            print("begun", flush=True)
        left -= got
"""


def beside_a_download(forwarder: Forwarder, count: int = 100) -> dict[str, float]:
    """Measure round trips while another process downloads."""
    command = [sys.executable, "-c", DOWNLOADER, str(forwarder.local[SOURCE]), str(4 * SIZE)]
    with (
        connected(forwarder, ECHO) as connection,
        subprocess.Popen(command, stdout=subprocess.PIPE) as busy,
    ):
        busy.stdout.readline()
        times = []
        while busy.poll() is None and len(times) < count:
            times.append(round_trip(connection))
        busy.kill()
    return {"round trip beside a download, p50": statistics.median(times)}


MEASURES = (download, upload, round_trips, new_connections, at_once, beside_a_download)
