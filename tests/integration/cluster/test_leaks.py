"""Clusters made and closed leave nothing in the process: no thread, no socket, no task, no memory."""

from __future__ import annotations

import json

import pytest

COUNT = 50

PROGRAM = """
import asyncio, ctypes, gc, json, os, psutil, sys, threading, time

HOW, COUNT, AT_ONCE = sys.argv[1], int(sys.argv[2]), 5
me = psutil.Process()


def count():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps for later is not in use
    return {
        "threads": threading.active_count() - EXECUTOR(),
        "sockets": len(me.net_connections("inet")),
        "descriptors": me.num_fds(),
        "tasks": TASKS(),
        "rss": me.memory_info().rss,
    }


def at_rest():
    # A connection that was closed may have to say good-bye.
    deadline = time.monotonic() + 10
    while count()["sockets"] and time.monotonic() < deadline:
        time.sleep(0.05)
    return count()
"""

SYNC = """
from concurrent.futures import ThreadPoolExecutor
from dask_gpu_k8s import KubeCluster

EXECUTOR, TASKS = lambda: 0, lambda: 0


def one(number):
    KubeCluster(name=f"sync-{number}").close()


def some(numbers):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, numbers))
    return at_rest()


seen = [some(range(AT_ONCE))]
seen.append(some(range(AT_ONCE, COUNT // 2)))
seen.append(some(range(COUNT // 2, COUNT)))
print(json.dumps(seen))
"""

ASYNC = """
from dask_gpu_k8s import KubeCluster

# The loop's own pool of threads stays with the loop.
EXECUTOR = lambda: sum(thread.name.startswith("asyncio_") for thread in threading.enumerate())
TASKS = lambda: len(asyncio.all_tasks())


async def one(number, limit):
    async with limit, KubeCluster(name=f"async-{number}", asynchronous=True):
        pass


async def some(numbers):
    limit = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(one(number, limit) for number in numbers))
    await asyncio.sleep(0)
    return count()


async def main():
    seen = [await some(range(AT_ONCE))]
    seen.append(await some(range(AT_ONCE, COUNT // 2)))
    seen.append(await some(range(COUNT // 2, COUNT)))
    print(json.dumps(seen))


asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", ["sync", "async"])
def test_50_clusters_made_and_closed_leave_nothing(kubernetes, how, record_property):
    program = PROGRAM + {"sync": SYNC, "async": ASYNC}[how]
    done = kubernetes.python(program, how, str(COUNT), timeout=380)
    assert done.stderr == ""
    first, half, all_of_them = json.loads(done.stdout)
    grown = (all_of_them.pop("rss") - half.pop("rss")) / 1e6
    first.pop("rss")
    record_property("note", f"{COUNT} clusters, {how}: {all_of_them}; the second half grew by {grown:.2f} MB")
    assert first == half == all_of_them
    assert grown < 2
