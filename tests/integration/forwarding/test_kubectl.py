"""`kubectl port-forward` as users type it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Kubernetes
from tests.integration.forwarding.pod import COUNT, ECHO, REFUSED, SINK, SOURCE, STUCK, source_bytes


class Forward:
    """A running ``kubectl port-forward`` and what it has printed."""

    def __init__(self, cluster: Kubernetes, target: str, ports: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            cluster.command("port-forward", target, *ports),
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.local: dict[int, int] = {}
        assert self.process.stdout is not None
        while len(self.local) < len(ports):
            line = self.process.stdout.readline()
            match = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)\n", line)
            if match:
                self.local[int(match[2])] = int(match[1])
            elif not line:
                raise AssertionError(self.process.communicate()[1])

    def connect(self, port: int) -> socket.socket:
        """Connect to the local end for a port of the Pod."""
        connection = socket.create_connection(("127.0.0.1", self.local[port]), timeout=30)
        # The end of the test must not wait for what nobody reads.
        connection.settimeout(30)
        return connection

    def end(self) -> str:
        """Wait until kubectl has ended by itself; return its complaints."""
        return self.process.communicate(timeout=30)[1]


@pytest.fixture
def forward(cluster: Kubernetes) -> Iterator[Callable[..., Forward]]:
    """Start ``kubectl port-forward``; with ports of the Pod, local ones are chosen by the system."""
    started: list[Forward] = []

    def start(target: str, *ports: int) -> Forward:
        started.append(Forward(cluster, target, tuple(f":{port}" for port in ports)))
        return started[-1]

    yield start
    for each in started:
        each.process.terminate()
        each.process.communicate(timeout=30)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := connection.recv(min(size - len(data), 1 << 16))):
        data += piece
    return data


def open_in_pod(forward: Callable[..., Forward]) -> int:
    """Ask the Pod how many connections it has, on a tunnel of its own."""
    with forward("pod/one", COUNT).connect(COUNT) as connection:
        return int(read_all(connection))


def wait_until_the_pod_has_no_connection(forward: Callable[..., Forward]) -> None:
    counter = forward("pod/one", COUNT)
    for _ in range(100):
        with counter.connect(COUNT) as connection:
            if read_all(connection) == b"0":
                return
    raise AssertionError("the Pod still has connections")


@pytest.mark.parametrize(("target", "port", "inside"), [("svc/one", 8786, ECHO), ("pod/one", ECHO, ECHO)])
def test_a_service_and_a_pod(forward, target, port, inside):
    """The page writes `kubectl port-forward svc/... 8786:8786`."""
    with forward(target, port).connect(inside) as connection:
        connection.sendall(b"hello")
        assert read(connection, 5) == b"hello"


def test_many_connections_at_once(forward):
    running = forward("pod/one", ECHO)

    def exchange(index: int) -> bool:
        data = os.urandom(500_000) + bytes([index])
        with running.connect(ECHO) as connection:
            sender = threading.Thread(target=connection.sendall, args=(data,))
            sender.start()
            received = read(connection, len(data))
            sender.join()
            return received == data

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(exchange, range(32)))


def test_20_mb_each_way(forward):
    size = 20_000_000
    running = forward("pod/one", SOURCE, SINK)
    sent = os.urandom(size)
    with running.connect(SINK) as connection:
        connection.sendall(b"%d\n" % size)
        connection.sendall(sent)
        assert read_all(connection).decode() == hashlib.sha256(sent).hexdigest()
    with running.connect(SOURCE) as connection:
        connection.sendall(b"%d\n" % size)
        assert read_all(connection) == source_bytes(size)


def test_several_ports_and_a_connection_after_another(forward):
    running = forward("pod/one", ECHO, SOURCE)
    for _ in range(20):
        with running.connect(ECHO) as connection:
            connection.sendall(b"x")
            assert read(connection, 1) == b"x"
    with running.connect(SOURCE) as connection:
        connection.sendall(b"3\n")
        assert read_all(connection) == b"\0\1\2"
    assert running.process.poll() is None


def test_a_refused_port_ends_kubectl_with_the_reason(forward):
    running = forward("pod/one", ECHO, REFUSED)
    with running.connect(REFUSED) as connection, contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""
    complaints = running.end()
    assert running.process.returncode == 1
    assert re.search(rf"error forwarding port {REFUSED} to pod \S+, uid : .*connection refused", complaints)
    assert "lost connection to pod" in complaints


def test_the_local_end_is_passed_on_a_second_later(forward):
    with forward("pod/one", ECHO).connect(ECHO) as connection:
        connection.sendall(b"x")
        assert read(connection, 1) == b"x"
        started = time.monotonic()
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""
        assert 0.8 < time.monotonic() - started < 5


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_nothing_is_left_in_the_pod_when_kubectl_ends(forward, how):
    running = forward("pod/one", ECHO, SOURCE, STUCK)
    connections = [running.connect(ECHO) for _ in range(3)]
    for connection in connections:
        connection.sendall(b"x")
        assert read(connection, 1) == b"x"
    connections.append(running.connect(SOURCE))
    connections[-1].sendall(b"500000000\n")  # and nobody reads it
    assert read(connections[-1], 10)
    assert open_in_pod(forward) >= 4
    getattr(running.process, how)()
    running.process.wait(10)
    wait_until_the_pod_has_no_connection(forward)
    for connection in connections:
        connection.close()


def test_a_pod_that_is_not_there(cluster):
    said = cluster.kubectl("port-forward", "pod/none", ":80", check=False)
    assert 'pods "none" not found' in said
