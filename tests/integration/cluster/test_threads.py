"""Row 57: whoever calls, from whatever thread and beside whatever loop, gets an answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from distributed import Client

from dask_gpu_k8s import KubeCluster

TWO_CLUSTERS = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from distributed import Client
from dask_gpu_k8s import KubeCluster

DASKS = ("MainThread", "Dask-Offload", "Dask-Callback")  # Dask keeps these for its process.
both_are_there = threading.Barrier(2, timeout=60)


def work(name):
    with KubeCluster(name=name, n_workers=1, quiet=True) as cluster:
        with Client(cluster, set_as_default=False) as client:
            both_are_there.wait()
            return client.submit(sum, [1, 2, len(name)]).result(timeout=60)


def left():
    return [thread.name for thread in threading.enumerate() if not thread.name.startswith(DASKS)]


with ThreadPoolExecutor(2) as threads:
    print(list(threads.map(work, ["one", "second"])))
deadline = time.monotonic() + 10
while left() and time.monotonic() < deadline:  # An executor's threads end a moment after its loop.
    time.sleep(0.01)
print(left())
"""


def test_row_57_two_clusters_in_two_threads(kubernetes, clusters):
    done = kubernetes.python(TWO_CLUSTERS)
    assert done.stdout == "[6, 9]\n[]\n"
    assert clusters() == []


def test_row_57_a_client_in_another_thread_than_its_clusters(cluster):
    def work() -> int:
        with Client(cluster, set_as_default=False) as client:
            return client.submit(sum, [1, 2]).result(timeout=60)

    with ThreadPoolExecutor(2) as threads:
        assert [future.result() for future in [threads.submit(work) for _ in range(4)]] == [3] * 4


async def test_row_57_a_notebooks_kernel(settings, clusters):
    """Its loop runs in this very thread, and cells neither await nor give way to it."""
    with KubeCluster(n_workers=1, **settings) as cluster, Client(cluster) as client:
        future = client.submit(sum, [1, 2])
        assert future.result(timeout=60) == 3
        assert await asyncio.to_thread(client.gather, future) == 3
        async with Client(cluster.scheduler_address, asynchronous=True, set_as_default=False) as second:
            assert await second.submit(sum, [3, 4]) == 7
    assert await asyncio.to_thread(clusters) == []
