from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from dask_gpu_k8s.cluster import lifetime
from dask_gpu_k8s.cluster.lifetime import _InPlaceLoop, leave


class Cluster:
    """What `lifetime` sees of a cluster."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.error = error

    def _begin_leaving(self):
        self.calls.append("begin")

    def _abandon(self, timeout):
        self.calls.append("abandon")
        if self.error:
            raise self.error


@pytest.fixture
def loop():
    loop = _InPlaceLoop()
    yield loop
    loop.close()


def test_the_loop_looks_up_names_without_a_thread(loop):
    before = threading.active_count()
    found = loop.run_until_complete(loop.getaddrinfo("localhost", 443))
    assert {info[4][0] for info in found} & {"127.0.0.1", "::1"}
    assert threading.active_count() == before


def test_the_loop_does_work_for_threads_in_place(loop):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(threading.get_ident)

    assert loop.run_until_complete(main()) == threading.get_ident()


def test_one_cluster_that_fails_does_not_keep_the_others():
    failing, other = Cluster(OSError("cut")), Cluster()
    lifetime.register(failing)
    lifetime.register(other)
    leave([failing, other])
    assert failing.calls == other.calls == ["begin", "abandon"]
    assert not {failing, other} & lifetime._open


def test_a_cluster_out_of_sight_is_still_looked_after():
    cluster = Cluster()
    lifetime.register(cluster)
    calls = cluster.calls
    del cluster
    leave(list(lifetime._open))
    assert calls == ["begin", "abandon"]


def test_a_forked_child_owns_nothing():
    program = (
        "import os\nfrom dask_gpu_k8s.cluster import lifetime\nlifetime.register(object())\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(len(lifetime._open))\n"
        "os._exit(os.waitpid(child, 0)[1] or len(lifetime._open) - 1)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_only_the_default_handler_is_replaced():
    def mine(number, frame):
        """Stay."""

    before = signal.signal(signal.SIGTERM, mine)
    try:
        lifetime.watch_sigterm()
        assert signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        thread = threading.Thread(target=lifetime.watch_sigterm)
        thread.start()
        thread.join()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "not the main thread"
        lifetime.watch_sigterm()
        assert signal.getsignal(signal.SIGTERM) is lifetime._on_sigterm
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_without_clusters_dies_by_sigterm():
    program = (
        "from dask_gpu_k8s.cluster import lifetime\nlifetime.watch_sigterm()\n"
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGTERM
