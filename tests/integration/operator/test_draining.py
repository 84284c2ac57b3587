"""The preStop hook of worker Pods, run as it is in a Pod, against a real scheduler and real workers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime, timezone

import pytest
from distributed import Client, Scheduler, Security, Worker

from dask_gpu_k8s.api.security import CA, CERTIFICATE, KEY
from dask_gpu_k8s.operator.objects.draining import PROGRAM
from dask_gpu_k8s.operator.objects.security import FOLDER, VARIABLES
from dask_gpu_k8s.operator.security.renewal import issue
from tests.integration.operator.conftest import eventually

LOCALHOST = "127.0.0.1"


@pytest.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    async with Scheduler(host=LOCALHOST, port=0, dashboard_address=":0") as scheduler:
        yield scheduler


def a_worker(scheduler: Scheduler, name: str) -> Worker:
    options = {"host": LOCALHOST, "nthreads": 1, "dashboard": False, "memory_limit": 0}
    return Worker(scheduler.address, name=name, **options)


async def drain(address: str, *, seconds: float = 10, program: str = PROGRAM, name: str = "pod") -> float:
    """Run the hook of the Pod `name`; return how many seconds it took."""
    start = time.monotonic()
    environment = {**os.environ, "DASK_SCHEDULER_ADDRESS": address, "DASK_WORKER_NAME": name}
    words = (sys.executable, "-c", program, str(seconds), "shared")
    process = await asyncio.create_subprocess_exec(*words, env=environment, stderr=asyncio.subprocess.PIPE)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, errors) == (0, b"")
    return time.monotonic() - start


async def quickest(address: str, **more: str) -> float:
    """Return the least that three hooks took, so that a Python which had no processor does not count."""
    return min([await drain(address, **more) for _ in range(3)])


async def spread(client: Client, workers: list[Worker]) -> list:
    return [
        (await client.scatter([index], workers=[worker.address], hash=False))[0]
        for index, worker in enumerate(workers)
    ]


async def test_row_31_all_processes_of_the_pod_hand_over_and_nobody_elses_do(scheduler):
    async with (
        a_worker(scheduler, "pod-0") as first,
        a_worker(scheduler, "pod-1") as second,
        a_worker(scheduler, "pod2") as other,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        data = await spread(client, [first, second, other])
        await drain(scheduler.address)
        assert len(other.data) == 3
        assert other.status.name == "running"
        await first.close()
        await second.close()
        assert await client.gather(data) == [0, 1, 2]


async def test_row_31_with_tls_by_the_certificates_of_the_pod(tmp_path, monkeypatch):
    for name, content in issue("foo", [LOCALHOST], None, datetime.now(timezone.utc)).items():
        (tmp_path / name).write_bytes(content)
    files = {"cert": str(tmp_path / CERTIFICATE), "key": str(tmp_path / KEY)}
    roles = {
        f"tls_{role}_{what}": file
        for role in ("scheduler", "worker", "client")
        for what, file in files.items()
    }
    security = Security(tls_ca_file=str(tmp_path / CA), require_encryption=True, **roles)
    for variable, value in VARIABLES.items():
        monkeypatch.setenv(variable, value.replace(FOLDER, str(tmp_path)))
    options = {"protocol": "tls", "security": security, "host": LOCALHOST}
    async with (
        Scheduler(port=0, dashboard_address=":0", **options) as scheduler,
        Worker(scheduler.address, name="pod", dashboard=False, memory_limit=0, **options) as worker,
        Worker(scheduler.address, name="other", dashboard=False, memory_limit=0, **options) as other,
        Client(scheduler.address, asynchronous=True, security=security) as client,
    ):
        data = await spread(client, [worker, other])
        await drain(scheduler.address)
        assert len(other.data) == 2
        assert data


async def test_results_wait_for_somebody_who_can_take_them(scheduler):
    async with (
        a_worker(scheduler, "pod") as worker,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        data = await spread(client, [worker])
        draining = asyncio.ensure_future(drain(scheduler.address, seconds=25))
        await eventually(lambda: _leaves(worker))
        async with a_worker(scheduler, "another-pod"):
            await draining
            await worker.close()
            assert await client.gather(data) == [0]


async def _leaves(worker: Worker) -> bool:
    return worker.status.name != "running"


async def test_two_pods_that_drain_at_once_do_not_rely_on_each_other(scheduler):
    async with (
        a_worker(scheduler, "pod") as first,
        a_worker(scheduler, "pod2") as second,
        a_worker(scheduler, "stays"),
        Client(scheduler.address, asynchronous=True) as client,
    ):
        data = await spread(client, [first, second])
        await client.replicate(data, workers=[first.address, second.address])
        await asyncio.gather(drain(scheduler.address), drain(scheduler.address, name="pod2"))
        await first.close()
        await second.close()
        assert await client.gather(data) == [0, 1]


async def test_the_time_is_bounded(scheduler):
    async with (
        a_worker(scheduler, "pod") as worker,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        data = await spread(client, [worker])
        assert await drain(scheduler.address, seconds=1) < 20
        assert data


async def test_row_31_a_scheduler_that_is_gone_is_found_out_in_under_a_second():
    """Not counting what it takes to start a Python, which is the machine's."""
    bare = await quickest("", program="import os, msgpack, ssl, socket, threading; os._exit(0)")
    refused = await quickest("tcp://127.0.0.1:1")
    assert refused - bare < 1
    # A firewall that swallows what it is sent: nothing ever comes back.
    with socket.create_server((LOCALHOST, 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            swallowed = await quickest(f"tcp://{LOCALHOST}:{address[1]}")
    assert swallowed - bare < 1.5


async def test_a_scheduler_that_hangs_is_given_up_after_a_few_seconds():
    with socket.create_server((LOCALHOST, 0)) as silent:
        assert await drain(f"tcp://{LOCALHOST}:{silent.getsockname()[1]}", seconds=20) < 12


async def test_a_pod_whose_worker_never_registered_ends_at_once(scheduler):
    assert await drain(scheduler.address, seconds=25) < 20
