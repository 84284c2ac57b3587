"""What we send to schedulers, answered by real ones of whatever version is installed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from distributed import Client, Scheduler, Worker, wait

from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.schedulers.api import SchedulerApi
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink
from tests.integration.operator.conftest import eventually


@pytest.fixture
async def dask() -> AsyncIterator[tuple[Scheduler, list[Worker], Client]]:
    """Start a scheduler, three workers and a client in this process."""
    # Without a limit no memory monitor runs, which would wake a worker that a test has paused.
    options: dict[str, Any] = {"dashboard": False, "memory_limit": 0}
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler:
        address = scheduler.address
        workers = [Worker(address, name=f"w-{i}", host="127.0.0.1", nthreads=1, **options) for i in range(3)]
        async with workers[0], workers[1], workers[2], Client(address, asynchronous=True) as client:
            yield scheduler, workers, client


def an_api(timeout: float = 5, patience: float = 30) -> SchedulerApi:
    # No Kubernetes here: it would only be asked to forward a port.
    return SchedulerApi(SchedulerLink(None, direct=True, timeout=timeout), patience=patience)  # type: ignore[arg-type]


@pytest.fixture
async def api() -> AsyncIterator[SchedulerApi]:
    api = an_api()
    yield api
    await api.close()


def where(scheduler: Scheduler) -> SchedulerAt:
    # There is no Service of this name, so the Pod's address is what works.
    return SchedulerAt("ns", "foo", "foo-scheduler", "u", "127.0.0.1", scheduler.port, 8786)


async def test_workers(dask, api):
    scheduler, workers, client = dask
    held = await client.scatter([b"x" * 1000], workers=[workers[1].address])
    workers[2].status = type(workers[2].status).paused
    for worker in workers:
        await worker.heartbeat()
    await eventually(lambda: _has_paused(scheduler))
    facts = await api.workers(where(scheduler))
    assert {facts[worker.address].name for worker in workers} == {"w-0", "w-1", "w-2"}
    assert facts[workers[1].address].host == "127.0.0.1"
    assert facts[workers[1].address].nbytes >= 1000
    assert facts[workers[0].address].nbytes == 0
    assert [facts[worker.address].running for worker in workers] == [True, True, False]
    assert all(fact.tasks == 0 for fact in facts.values())
    assert held


async def _has_paused(scheduler: Scheduler) -> bool:
    return any(state.status.name == "paused" for state in scheduler.workers.values())


def _wait(path: str) -> None:
    with open(path):  # a pipe: opening it lasts until somebody writes
        pass


async def test_a_busy_worker_has_tasks(dask, api, tmp_path):
    scheduler, workers, client = dask
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    future = client.submit(_wait, str(pipe), workers=[workers[0].address])
    await eventually(lambda: _busy(workers[0], api, scheduler))
    await asyncio.to_thread(pipe.write_text, "")
    await future


async def _busy(worker: Worker, api: SchedulerApi, scheduler: Scheduler) -> bool:
    await worker.heartbeat()
    return (await api.workers(where(scheduler)))[worker.address].tasks >= 1


async def test_a_retired_worker_is_busy_until_its_task_has_ended_and_its_result_has_moved(
    dask, api, tmp_path
):
    scheduler, workers, client = dask
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    address = workers[0].address
    running, queued = (
        client.submit(_wait, str(pipe), workers=[address], allow_other_workers=True, pure=False)
        for _ in range(2)
    )
    await eventually(lambda: _busy(workers[0], api, scheduler))
    for _ in range(2):
        answer = await api.retire(where(scheduler), [address])
        assert (answer.retired, answer.busy) == (set(), {address})
    await asyncio.to_thread(pipe.write_text, "")

    async def is_free() -> bool:
        await workers[0].heartbeat()
        return bool((await api.retire(where(scheduler), [address])).retired)

    await eventually(is_free)
    assert await running is None
    queued.release()


async def test_data_moves_off_a_retiring_worker_which_stays_and_it_can_be_asked_again(dask, api):
    scheduler, workers, client = dask
    (future,) = await client.scatter([b"x" * 1000], workers=[workers[0].address])
    for _ in range(2):
        answer = await api.retire(where(scheduler), [workers[0].address])
        while answer.moving:  # It is asked again, as the operator does.
            answer = await api.retire(where(scheduler), [workers[0].address])
        assert answer.retired == {workers[0].address}
    assert len(scheduler.workers) == 3
    assert scheduler.workers[workers[0].address].status.name == "closing_gracefully"
    assert workers[0].address not in next(iter((await client.who_has(future)).values()))


async def test_a_worker_whose_data_nobody_can_take_is_kept_the_others_retire(dask, api):
    scheduler, workers, client = dask
    held = await client.scatter([b"x" * 1000], workers=[workers[0].address])
    answer = await api.retire(where(scheduler), [worker.address for worker in workers])
    assert answer.kept == {workers[0].address}
    assert answer.retired == {workers[1].address, workers[2].address}
    assert held


class OnlyHere:
    """Cannot be read by others, as what is on a GPU cannot by workers without one."""

    def __reduce__(self):
        return _no_device, ()


def _no_device():
    raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")


async def test_data_that_is_offered_in_vain_counts_in_the_end_as_what_nobody_can_take(dask):
    scheduler, workers, client = dask
    address = workers[0].address
    held = client.submit(OnlyHere, workers=[address])
    await wait(held)
    api = an_api(patience=0.2)
    assert (await api.retire(where(scheduler), [address], limit=60)).moving == {address}
    assert (await api.retire(where(scheduler), [address], limit=0.1)).kept == {address}
    await api.close()


async def test_a_worker_that_is_gone_is_not_said_to_have_retired(dask, api):
    scheduler, *_ = dask
    assert (await api.retire(where(scheduler), ["tcp://127.0.0.1:1"])).moving == {"tcp://127.0.0.1:1"}


async def test_copies_on_two_that_retire_do_not_vouch_for_each_other(dask, api):
    scheduler, workers, client = dask
    two = [worker.address for worker in workers[:2]]
    futures = await client.scatter([b"x" * 1000 for _ in range(20)], workers=two)
    await client.replicate(futures, workers=two, n=2)

    async def both_are_free() -> bool:
        answer = await api.retire(where(scheduler), two)
        holders = await client.who_has(futures)
        for address in answer.retired:
            assert all(set(by) - set(two) for by in holders.values()), f"{address} is not free of data"
        return answer.retired == set(two)

    await eventually(both_are_free)


async def test_data_on_others_that_are_to_go_is_not_safe(dask, api):
    scheduler, workers, client = dask
    first, second, third = (worker.address for worker in workers)
    held = await client.scatter([b"x" * 1000], workers=[first])
    answer = await api.retire(where(scheduler), [first], leaving=[second, third])
    assert answer.moving == {first}
    assert held


async def test_one_retirement_waits_for_those_who_retired_before(dask, api):
    scheduler, workers, client = dask
    first, second, _ = (worker.address for worker in workers)
    held = await client.scatter([b"x" * 1000], workers=[first])
    assert (await api.retire(where(scheduler), [first])).retired == {first}
    assert (await api.retire(where(scheduler), [second])).moving == {second}
    assert scheduler.workers[second].status.name == "running"
    assert (await api.retire(where(scheduler), [first, second])).kept == set()
    await workers[0].close()
    await eventually(lambda: _retired(api, scheduler, second))
    assert held


async def test_one_that_retired_and_is_not_gone_is_not_waited_for_beyond_the_limit(dask):
    scheduler, workers, _ = dask
    api = an_api(patience=0.2)
    first, second, _ = (worker.address for worker in workers)
    assert (await api.retire(where(scheduler), [first])).retired == {first}
    assert (await api.retire(where(scheduler), [second], limit=60)).moving == {second}
    assert (await api.retire(where(scheduler), [second], limit=0)).kept == {second}
    await api.close()


async def test_a_new_worker_at_the_address_of_a_retired_one_is_not_waited_for(dask, api):
    scheduler, workers, _ = dask
    first, second, _ = (worker.address for worker in workers)
    assert (await api.retire(where(scheduler), [first])).retired == {first}
    await workers[0].close()
    port = int(first.rpartition(":")[2])
    async with Worker(scheduler.address, name="w-9", host="127.0.0.1", port=port, dashboard=False) as another:
        assert another.address == first
        await eventually(lambda: _retired(api, scheduler, second))


async def test_what_is_asked_of_a_scheduler_that_is_gone_is_forgotten(dask, monkeypatch):
    scheduler, workers, _ = dask

    async def never(**arguments: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setitem(scheduler.handlers, "retire_workers", never)
    api = an_api(patience=0.05)
    assert (await api.retire(where(scheduler), [workers[0].address])).moving
    (move,) = api._moves.values()
    api.forget("u")
    with pytest.raises(asyncio.CancelledError):
        await move
    assert not api._moves
    await api.close()


async def test_many_results_are_asked_about_in_portions(dask, api, monkeypatch):
    monkeypatch.setattr("dask_gpu_k8s.operator.schedulers.api.WORKERS_AT_ONCE", 1)
    monkeypatch.setattr("dask_gpu_k8s.operator.schedulers.api.KEYS_AT_ONCE", 3)
    scheduler, workers, client = dask
    two = [worker.address for worker in workers[:2]]
    held = await client.scatter(list(range(10)), workers=two)

    async def both_are_free() -> bool:
        return (await api.retire(where(scheduler), two)).retired == set(two)

    await eventually(both_are_free)
    assert held


async def test_one_retirement_waits_for_those_whose_pods_are_ending(dask, api):
    scheduler, workers, _ = dask
    first, second, _ = (worker.address for worker in workers)
    assert (await api.retire(where(scheduler), [second], ending=[first])).moving == {second}
    await workers[0].close()
    assert (await api.retire(where(scheduler), [second], ending=[first])).retired == {second}


async def _retired(api: SchedulerApi, scheduler: Scheduler, address: str) -> bool:
    return (await api.retire(where(scheduler), [address])).retired == {address}


async def test_data_that_takes_long_is_asked_for_once_and_waited_for_again(dask, monkeypatch):
    scheduler, workers, _ = dask
    calls, may_end = [], asyncio.Event()
    retire = scheduler.retire_workers

    async def slowly(**arguments: Any) -> Any:
        calls.append(arguments["workers"])
        await may_end.wait()
        return await retire(**arguments)

    monkeypatch.setitem(scheduler.handlers, "retire_workers", slowly)
    api = an_api(patience=0.05)
    first, second = workers[0].address, workers[1].address
    assert (await api.retire(where(scheduler), [first])).moving == {first}
    assert (await api.retire(where(scheduler), [first, second])).moving == {first, second}
    may_end.set()
    api._patience = 5
    assert (await api.retire(where(scheduler), [first, second])).retired == {first, second}
    assert [list(addresses) for addresses in calls] == [[first], [second]]
    await api.close()


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"])
async def test_what_does_not_answer_as_a_scheduler_does(answer):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
        writer.close()

    api = an_api(timeout=0.2)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        at = SchedulerAt("ns", "foo", "p", "u", "127.0.0.1", server.sockets[0].getsockname()[1], 8786)
        with pytest.raises(SchedulerUnreachable, match=r"."):
            await api.workers(at)
        with pytest.raises(SchedulerUnreachable, match=r"."):
            await api.retire(at, ["tcp://x:1"])
    await api.close()


async def test_one_that_is_silent_is_not_tried_again_at_once():
    served = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        await reader.read()
        writer.close()

    api = an_api(timeout=0.2)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        at = SchedulerAt("ns", "foo", "p", "u", "127.0.0.1", server.sockets[0].getsockname()[1], 8786)
        said = set()
        for _ in range(3):
            with pytest.raises(SchedulerUnreachable) as caught:
                await api.workers(at)
            said.add(str(caught.value))
        assert len(served) == 1
        assert said == {"no answer within 0.2 s"}, "a condition says it, and is written when it changes"
        api.forget("u")
        with pytest.raises(SchedulerUnreachable):
            await api.workers(at)
        assert len(served) == 2
    await api.close()


async def test_nobody_there(api):
    with pytest.raises(SchedulerUnreachable, match=r"refused|Connect"):
        await api.workers(SchedulerAt("ns", "foo", "p", "u", "127.0.0.1", 1, 8786))
