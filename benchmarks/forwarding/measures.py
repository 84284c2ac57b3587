"""What is measured of a forwarder."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
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
    """Measure how long connections take that are opened together, until all have had a round trip."""
    with contextlib.ExitStack() as stack:
        started = time.perf_counter()
        connections = [stack.enter_context(connected(forwarder, ECHO)) for _ in range(count)]
        for connection in connections:
            connection.sendall(KILOBYTE)
        for connection in connections:
            read(connection, len(KILOBYTE))
        return {"20 of them at once": time.perf_counter() - started}


def beside_a_download(forwarder: Forwarder, count: int = 100) -> dict[str, float]:
    """Measure round trips while another connection downloads."""
    with connected(forwarder, SOURCE) as busy, connected(forwarder, ECHO) as connection:
        round_trip(connection)
        busy.sendall(b"%d\n" % SIZE)
        reader = threading.Thread(target=read, args=(busy, SIZE))
        reader.start()
        times = []
        while reader.is_alive() and len(times) < count:
            times.append(round_trip(connection))
        reader.join()
    return {"round trip beside a download, p50": statistics.median(times)}


MEASURES = (download, upload, round_trips, new_connections, at_once, beside_a_download)
