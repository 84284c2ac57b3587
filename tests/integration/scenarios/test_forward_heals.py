"""Row 3: whatever becomes of the way to the scheduler, the same Client computes again."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import dask
import pytest
from distributed import Client

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.kube.portforward import tunnels
from tests.wire import Wire

pytestmark = pytest.mark.filterwarnings("ignore::distributed.versions.VersionMismatchWarning")

PROMISE = 10
"""Seconds until the same Client computes again."""


@pytest.fixture
def wire(kubernetes, tmp_path):
    """The wire to the API server, which a test may cut."""
    with Wire(kubernetes.kubeconfig, tmp_path) as wire:
        yield wire


@pytest.fixture
def cluster(kubernetes, wire):
    """A cluster with one worker, which is reached through the API server alone."""
    with KubeCluster(
        name="demo",
        kubeconfig=wire.kubeconfig,
        namespace=kubernetes.namespace,
        connect="port-forward",
        n_workers=1,
        quiet=True,
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=90)
        yield client


def time_until_it_computes(client) -> float:
    """Measure how long it takes until new work goes through; what is lost before fails at once."""
    started = time.monotonic()
    while True:
        try:
            assert client.submit(sum, [1, 2], pure=False).result(timeout=PROMISE) == 3
        except CancelledError:
            assert time.monotonic() - started < PROMISE
        else:
            return time.monotonic() - started


class Traffic:
    """Downloads and uploads without end in two threads, whatever is lost on the way."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(way,)) for way in (self._down, self._up)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, transfer) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(CancelledError, OSError):
                transfer()

    def _down(self) -> None:
        assert len(self._client.submit(os.urandom, 5_000_000, pure=False).result(timeout=60)) == 5_000_000

    def _up(self) -> None:
        assert self._client.submit(len, os.urandom(5_000_000)).result(timeout=60) == 5_000_000


def wait_for_both_directions(wire) -> None:
    """Wait until some megabytes have gone each way."""
    up, down = wire.up + 2_000_000, wire.down + 2_000_000
    deadline = time.monotonic() + 60
    while wire.up < up or wire.down < down:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.timeout(900)
@pytest.mark.long
# Tornado forgets a connection that is made just when Dask's Client gives the attempt up.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket .*proto=0:pytest.PytestUnraisableExceptionWarning"
)
def test_row_3_cut_100_times(kubernetes, wire, cluster, client, record_property):
    address = cluster.scheduler_address
    times = []
    with Traffic(client):
        for _ in range(100):
            computing = client.submit(list, client.map(time.sleep, [0.05] * 400, pure=False))
            wait_for_both_directions(wire)
            wire.cut()
            times.append(time_until_it_computes(client))
            assert computing.cancelled()
            with pytest.raises(CancelledError, match="scheduler-connection-lost"):
                computing.result(timeout=PROMISE)
    assert cluster.scheduler_address == address
    record_property(
        "note",
        f"row 3 on {kubernetes.kind}: cut 100 times, the same Client computes again after "
        f"{statistics.median(times):.2f} s (median), {max(times):.2f} s (max)",
    )
    assert max(times) < PROMISE


REGISTERED = """
from dask.distributed import Client
with Client("demo-scheduler:8786", timeout=60) as client:
    client.wait_for_workers(1, timeout=60)
"""


def test_row_3_the_schedulers_pod_is_restarted(kubernetes, cluster, client, record_property):
    """Client made with little patience: Dask's own would be at its end."""
    address, lost = cluster.scheduler_address, client.submit(sum, [1, 2])
    lost.result(timeout=60)
    uid = kubernetes.kubectl("get", "pod", "demo-scheduler", "-o", "jsonpath={.metadata.uid}")
    kubernetes.kubectl("delete", "pod", "demo-scheduler", "--wait=false")
    path = "jsonpath={.metadata.uid} {.status.conditions[?(@.type=='Ready')].status}"
    deadline = time.monotonic() + 180
    while True:
        now = kubernetes.kubectl("get", "pod", "demo-scheduler", "-o", path, check=False).split()
        if now[1:] == ["True"] and now[0] != uid:
            break
        assert time.monotonic() < deadline, kubernetes.explain()
        time.sleep(0.1)
    kubernetes.kubectl("wait", "--for=jsonpath={.status.readyWorkers}=1", "daskcluster/demo", "--timeout=90s")
    # A Pod is ready before the worker in it has registered.
    kubernetes.kubectl("exec", "demo-scheduler", "--", "python", "-c", REGISTERED, timeout=130)
    seconds = time_until_it_computes(client)
    assert cluster.scheduler_address == address
    assert lost.cancelled()
    record_property("note", f"row 3 on {kubernetes.kind}: after a new scheduler, {seconds:.2f} s")


def test_row_3_a_short_outage_loses_nothing(wire, client):
    """Nobody says anything for longer than a tunnel is given to answer; then everything is as it was."""
    kept, computing = client.submit(sum, [1, 2]), client.submit(time.sleep, 5)
    assert kept.result(timeout=60) == 3
    wire.pause()
    time.sleep(10)
    wire.resume()
    assert computing.result(timeout=PROMISE) is None
    assert client.submit(sum, [kept, 4]).result(timeout=PROMISE) == 7


def test_row_3_a_client_waits_longer_than_dask_would_let_it(wire, cluster, monkeypatch):
    """As for a scheduler that is away for minutes: Dask's 30 s are 2 s here, and the minutes are 8 s."""
    # Else the forward would hold the Client's first try for so long.
    monkeypatch.setattr(tunnels, "HOLD_SECONDS", 1.0)
    with dask.config.set({"distributed.comm.timeouts.connect": "2s"}):
        with Client(cluster) as client:
            client.wait_for_workers(1, timeout=90)
            wire.take_away()
            assert wait_until(lambda: client.status == "connecting", 90)
            assert not wait_until(lambda: client.status != "connecting", 8)
            wire.connect()
            assert time_until_it_computes(client) < PROMISE
        assert dask.config.get("distributed.comm.timeouts.connect") == "2s"


def wait_until(is_so, seconds: float) -> bool:
    """Wait until something is so; say whether it came to be."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


SLEEPER = """
import sys, time
from concurrent.futures import CancelledError
from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.kube.portforward import tunnels
from distributed import Client

with KubeCluster.from_name("demo", connect="port-forward", quiet=True) as cluster, Client(cluster) as client:
    lost = client.submit(sum, [1, 2])
    print(lost.result(), flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    while True:
        try:
            assert client.submit(sum, [3, 4], pure=False).result(timeout=10) == 7
            break
        except CancelledError:
            pass
    print(lost.status, time.monotonic() - started, flush=True)
"""


@pytest.mark.parametrize("way", ["cut", "forget"])
def test_row_3_a_laptop_sleeps(kubernetes, wire, cluster, way):
    """Its sockets are gone when it wakes, told or not."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        env={**kubernetes.environment, "KUBECONFIG": str(wire.kubeconfig)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout.readline() == "3\n"
            process.send_signal(signal.SIGSTOP)
            getattr(wire, way)()
            time.sleep(5)
            process.send_signal(signal.SIGCONT)
            process.stdin.write("\n")
            process.stdin.flush()
            status, seconds = process.stdout.readline().split()
            assert status == "cancelled"
            assert float(seconds) < PROMISE
            assert process.wait(30) == 0
        finally:
            process.kill()
