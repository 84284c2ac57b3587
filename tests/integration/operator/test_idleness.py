"""What a real scheduler, of whatever version is installed, answers to who asks whether it has work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from distributed import Client, Scheduler, Worker

from dask_gpu_k8s.operator.engine.facts import SchedulerAt
from dask_gpu_k8s.operator.schedulers.api import SchedulerApi
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink
from tests.integration.operator.conftest import eventually


class Asked:
    """A scheduler with a worker, and who asks it."""

    def __init__(self, scheduler: Scheduler, worker: Worker) -> None:
        self.scheduler = scheduler
        self.worker = worker
        # No Kubernetes here: it would only be asked to forward a port.
        link = SchedulerLink(None, direct=True, timeout=5)  # type: ignore[arg-type]
        self._api = SchedulerApi(link, patience=5)

    async def since(self, *, clients: bool = False, data: bool = False) -> float | None:
        at = SchedulerAt("ns", "foo", "foo-scheduler", "u", "127.0.0.1", self.scheduler.port, 8786)
        return await self._api.idle_since(at, clients=clients, data=data)

    async def is_idle(self, **respect: bool) -> bool:
        """It is idle."""
        return await self.since(**respect) is not None

    async def is_busy(self) -> bool:
        """It is busy."""
        return await self.since() is None

    def client(self) -> Client:
        return Client(self.scheduler.address, asynchronous=True)


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler:
        async with Worker(scheduler.address, host="127.0.0.1", dashboard=False) as worker:
            yield Asked(scheduler, worker)


async def test_without_work_the_answer_stays_the_same(asked):
    await eventually(asked.is_idle)
    first = await asked.since()
    await asyncio.sleep(0.6)  # the scheduler itself looks every 0.25 s
    assert await asked.since() == first


async def test_work_that_came_and_went_between_two_questions_is_seen(asked):
    await eventually(asked.is_idle)
    first = await asked.since()
    async with asked.client() as client:
        await client.submit(sum, [1, 2])
    await eventually(asked.is_idle)
    assert await asked.since() != first


async def test_a_running_task_is_work(asked):
    async with asked.client() as client:
        started, done = asyncio.Event(), asyncio.Event()
        asked.worker.idle_test = (started, done)  # type: ignore[attr-defined]

        async def wait(dask_worker: Worker | None = None) -> None:
            from distributed import get_worker

            started, done = get_worker().idle_test  # type: ignore[attr-defined]
            started.set()
            await done.wait()

        future = client.submit(wait)
        await asyncio.wait_for(started.wait(), 10)
        assert await asked.is_busy()
        done.set()
        await future
        await eventually(asked.is_idle)


@pytest.mark.parametrize("kind", ["computed", "scattered"])
async def test_results_count_only_if_they_are_to_be_respected(asked, kind):
    async with asked.client() as client:
        held = [client.submit(sum, [1, 2])] if kind == "computed" else await client.scatter([b"x"])
        await client.gather(held)
        await eventually(asked.is_idle)
        assert not await asked.is_idle(data=True)
        del held
        await eventually(lambda: asked.is_idle(data=True))


async def test_clients_count_only_if_they_are_to_be_respected(asked):
    async with asked.client():
        await eventually(asked.is_idle)
        assert not await asked.is_idle(clients=True)
    await eventually(lambda: asked.is_idle(clients=True))


async def test_the_client_of_a_task_is_nobody_who_waits(asked):
    async with asked.worker._get_client():
        assert any(name.startswith("Client-worker-") for name in asked.scheduler.clients)
        await eventually(lambda: asked.is_idle(clients=True))


async def test_row_04_asking_changes_no_setting(asked):
    """Whoever asks as dask-kubernetes does leaves a timeout of 300 s behind."""
    before = asked.scheduler.idle_timeout
    async with asked.client() as client:
        future = client.submit(sum, [1, 2])
        for _ in range(3):
            await asked.since(clients=True, data=True)
        await future
    await asked.since(clients=True, data=True)
    assert asked.scheduler.idle_timeout == before
    assert not asked.scheduler.clients.keys() - {"fire-and-forget"}, "and who asks is no client"
