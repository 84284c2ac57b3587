"""Row 57: whoever calls, from whatever thread and beside whatever loop, gets an answer."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from distributed import Client

from dask_gpu_k8s import KubeCluster


def running() -> set[threading.Thread]:
    """Return the threads, but for those that Dask starts once a process and keeps."""
    dasks = ("Dask-Offload", "Dask-Callback")
    return {thread for thread in threading.enumerate() if not thread.name.startswith(dasks)}


def test_row_57_two_clusters_in_two_threads(settings, clusters):
    before = running()
    both_are_there = threading.Barrier(2, timeout=90)

    def work(name: str) -> int:
        with (
            KubeCluster(**{**settings, "name": name}, n_workers=1) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            both_are_there.wait()
            return client.submit(sum, [1, 2, len(name)]).result(timeout=60)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(work, ["one", "second"])) == [6, 9]
    assert clusters() == []
    deadline = time.monotonic() + 10
    while more := running() - before:  # An executor's threads end a moment after its loop.
        assert time.monotonic() < deadline, more
        time.sleep(0.01)


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
