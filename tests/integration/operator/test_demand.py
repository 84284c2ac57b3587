"""What the operator's preload says in real schedulers of whatever version is installed."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from distributed import Client, Scheduler, Worker, get_client, secede

from dask_gpu_k8s.api import names
from dask_gpu_k8s.operator.engine.demand import Demand, GroupLoad, Work
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.objects.preload import LINE, TEXT, with_preload
from dask_gpu_k8s.operator.schedulers.api import SchedulerApi
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink
from tests.integration.operator.conftest import eventually

CPU, GPU = "foo-default", "foo-gpu"


@pytest.fixture
async def preloaded(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Scheduler, Client]]:
    """Start a scheduler as the operator has it started, without workers."""
    (container,) = with_preload({"containers": [{"name": "scheduler"}]})["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "dashboard_address": ":0"}
    async with (
        Scheduler(preload=[LINE], **options) as scheduler,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        assert TEXT in {variable["name"] for variable in container["env"]}
        yield scheduler, client


def a_worker(scheduler: Scheduler, group: str, number: int = 0, suffix: str = "", **more: Any) -> Worker:
    options: dict[str, Any] = {"host": "127.0.0.1", "dashboard": False, "memory_limit": 0, "nthreads": 1}
    name = names.worker_pod(group, "uid", number) + suffix
    return Worker(scheduler.address, name=name, **{**options, **more})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def an_api() -> SchedulerApi:
    return SchedulerApi(SchedulerLink(None, direct=True, timeout=5), patience=5)  # type: ignore[arg-type]


async def ask(scheduler: Scheduler, api: SchedulerApi | None = None) -> Demand:
    at = SchedulerAt("ns", "foo", "foo-scheduler", "u", "127.0.0.1", scheduler.port, 8786)
    return await (api or an_api()).demand(at)


def by_needs(demand: Demand) -> dict[tuple[tuple[str, float], ...], float]:
    return {tuple(sorted(work.needs.items())): work.tasks for work in demand.work}


async def tasks_there(scheduler: Scheduler, count: int) -> None:
    async def are_there() -> bool:
        return len(scheduler.tasks) >= count

    await eventually(are_there)


async def test_an_idle_cluster_has_no_work(preloaded):
    scheduler, _ = preloaded
    demand = await ask(scheduler)
    assert (demand.target, demand.work, demand.groups) == (None, (), {})
    assert demand.target_duration == 5.0


async def test_waiting_tasks_are_told_by_what_they_need(preloaded):
    scheduler, client = preloaded
    futures = [
        *client.map(time.sleep, [1.0] * 7, pure=False),
        *client.map(time.sleep, [1.0] * 3, pure=False, resources={"GPU": 1}),
        *client.map(time.sleep, [1.0] * 2, pure=False, resources={"GPU": 2, "MEM": 1}),
    ]
    await tasks_there(scheduler, 12)
    demand = await ask(scheduler)
    assert by_needs(demand) == {(): 7, (("GPU", 1),): 3, (("GPU", 2), ("MEM", 1)): 2}
    assert Work({"GPU": 1.0}, 3.0, 1.5) in demand.work, "half a second each, until Dask knows better"
    assert futures


async def test_a_task_for_a_worker_that_is_gone_asks_for_nobody(preloaded):
    scheduler, client = preloaded
    bound = client.submit(time.sleep, 1, workers=["tcp://127.0.0.1:1"], pure=False)
    loose = client.submit(time.sleep, 1, workers=["tcp://127.0.0.1:1"], allow_other_workers=True, pure=False)
    await tasks_there(scheduler, 2)
    assert by_needs(await ask(scheduler)) == {(): 1}
    assert bound
    assert loose


async def test_tasks_that_run_are_told_apart_on_one_worker(preloaded):
    scheduler, client = preloaded
    async with a_worker(scheduler, GPU, resources={"GPU": 4}, nthreads=8):
        futures = [
            *client.map(_wait, range(3), pure=False, resources={"GPU": 1}),
            *client.map(_wait, range(2), pure=False),
        ]
        await eventually(lambda: _busy(scheduler, 5))
        demand = await ask(scheduler)
        assert by_needs(demand) == {(): 2, (("GPU", 1),): 3}
        assert demand.groups[GPU].busy == 1
        await client.cancel(futures, force=True)
        STOP.set()
    STOP.clear()


STOP = threading.Event()


def _wait(_: int) -> None:
    STOP.wait(30)


async def _busy(scheduler: Scheduler, count: int) -> bool:
    return sum(len(worker.processing) for worker in scheduler.workers.values()) == count


async def test_groups_are_told_by_the_names_of_their_workers(preloaded):
    scheduler, client = preloaded
    async with (
        a_worker(scheduler, CPU, 0, "-0", nthreads=2),
        a_worker(scheduler, CPU, 0, "-1", nthreads=2),
        a_worker(scheduler, CPU, 1),
        a_worker(scheduler, GPU, 0, resources={"GPU": 1}, memory_limit="1GB") as gpu,
        Worker(scheduler.address, name="somebody", host="127.0.0.1", dashboard=False),
    ):
        held = await client.scatter([b"x" * 1000], workers=[gpu.address])
        groups = (await ask(scheduler)).groups
        assert held
    assert groups[CPU] == GroupLoad(pods=2, workers=3, threads=5, busy=0, nbytes=0, limit=0)
    assert groups[GPU].pods == 1
    assert groups[GPU].limit == 10**9
    assert groups[GPU].nbytes >= 1000
    assert groups[""].workers == 1


async def test_one_that_retires_is_none_of_its_group_any_more(preloaded):
    scheduler, _ = preloaded
    async with a_worker(scheduler, CPU, 0) as first, a_worker(scheduler, CPU, 1):
        await scheduler.retire_workers([first.address], remove=False, close_workers=False)
        assert (await ask(scheduler)).groups[CPU].pods == 1


def _secede() -> None:
    secede()
    get_client()
    STOP.wait(30)


async def test_a_worker_with_a_long_running_task_is_busy(preloaded):
    scheduler, client = preloaded
    async with a_worker(scheduler, CPU):
        future = client.submit(_secede, pure=False)

        async def has_seceded() -> bool:
            return any(worker.long_running for worker in scheduler.workers.values())

        await eventually(has_seceded)
        assert (await ask(scheduler)).groups[CPU].busy == 1
        STOP.set()
        await future
    STOP.clear()


async def test_with_100_000_tasks_it_costs_next_to_nothing(preloaded):
    scheduler, _ = preloaded
    for number in range(100_000):
        task = scheduler.new_task(f"task-{number}", None, "no-worker")
        task.resource_restrictions = {"GPU": 1} if number % 2 else None
        scheduler.unrunnable[task] = 0
    costs = []
    for _ in range(10):
        began = time.process_time()
        answer = scheduler.handlers["dask_operator_demand"]()
        costs.append(time.process_time() - began)
    assert min(costs) < 0.05, "of every five seconds"
    tasks = {tuple(work["needs"]): work["tasks"] for work in answer["work"]}
    assert tasks[()] == pytest.approx(50_000, rel=0.1)
    assert tasks[("GPU",)] == pytest.approx(50_000, rel=0.1)


async def test_an_answer_is_asked_for_once_by_several(preloaded):
    scheduler, _ = preloaded
    api, calls = an_api(), []
    handler = scheduler.handlers["dask_operator_demand"]

    def counted() -> Any:
        calls.append(1)
        return handler()

    scheduler.handlers["dask_operator_demand"] = counted
    assert [await ask(scheduler, api) for _ in range(3)]
    assert len(calls) == 1


@pytest.fixture
async def foreign() -> AsyncIterator[tuple[Scheduler, Client]]:
    """Start a scheduler that nobody has preloaded anything into."""
    async with (
        Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        yield scheduler, client


async def test_a_foreign_scheduler_says_its_adaptive_target(foreign, caplog):
    scheduler, client = foreign
    api = an_api()
    clock = Clock()
    api._meter._clock = clock
    assert await ask(scheduler, api) == Demand(target=0)
    futures = client.map(time.sleep, [1.0] * 40, pure=False)
    await tasks_there(scheduler, 40)
    clock.now += 10
    assert await ask(scheduler, api) == Demand(target=4)
    complaints = [record for record in caplog.records if "No handler" in record.getMessage()]
    assert len(complaints) == 1, "it is not asked again what it does not know"
    assert futures


async def test_what_answers_nonsense_is_no_scheduler(foreign):
    scheduler, _ = foreign
    for answer in ({"work": []}, [1], {"target_duration": "x", "work": [], "groups": {}}):
        scheduler.handlers["dask_operator_demand"] = lambda answer=answer: answer
        with pytest.raises(SchedulerUnreachable, match="not understood"):
            await ask(scheduler)
