"""Slots for requests."""

from __future__ import annotations

import asyncio

from dask_gpu_k8s.kube import limits as module
from dask_gpu_k8s.kube.limits import Limits


class Crowd:
    """Requests that begin when they get a slot and end when they are told to."""

    def __init__(self, limits):
        self.limits = limits
        self.began = []
        self.ends = {}
        self.tasks = {}

    async def ask(self, *names):
        for name in names:
            self.ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._request(name))
        await self.settle()

    async def _request(self, name):
        async with self.limits.slot():
            self.began.append(name)
            await self.ends[name].wait()

    async def end(self, *names):
        for name in names:
            self.ends[name].set()
        await self.settle()

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)


async def test_slots_are_handed_out_in_order():
    crowd = Crowd(Limits(2))
    await crowd.ask("a", "b", "c", "d")
    assert crowd.began == ["a", "b"]
    await crowd.end("b")
    await crowd.ask("e")
    await crowd.end("a", "c")
    assert crowd.began == ["a", "b", "c", "d", "e"]
    assert crowd.limits.under_way == 2
    await crowd.end("d", "e")
    assert crowd.limits.under_way == 0


async def test_whoever_gives_up_leaves_the_slot_to_the_next():
    crowd = Crowd(Limits(1))
    await crowd.ask("a", "b", "c")
    crowd.tasks["b"].cancel()
    await crowd.end("a")
    assert crowd.began == ["a", "c"]
    await crowd.end("c")
    assert crowd.limits.under_way == 0


async def test_a_slot_that_comes_as_somebody_gives_up_is_not_lost():
    crowd = Crowd(Limits(1))
    await crowd.ask("a", "b", "c")
    crowd.ends["a"].set()
    await asyncio.sleep(0)
    assert crowd.tasks["a"].done()
    crowd.tasks["b"].cancel()
    await crowd.settle()
    assert crowd.began == ["a", "c"]
    await crowd.end("c")
    assert crowd.limits.under_way == 0


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        self._sleep = asyncio.sleep
        monkeypatch.setattr(module.asyncio, "sleep", self.sleep)

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        await self._sleep(0)


async def test_a_busy_server_gets_a_rest_and_less_at_once_afterwards(monkeypatch):
    clock = Clock(monkeypatch)
    limits = Limits(8, clock=clock)
    limits.rest(5.0)
    limits.rest(2.0)  # What was under way as well is refused for the same reason.
    async with limits.slot():
        assert clock.now == 105.0
    assert int(limits._allowed) == 4
    for _ in range(4):
        limits.succeeded()
    assert int(limits._allowed) == 4
    for _ in range(40):
        limits.succeeded()
    assert limits._allowed == 8.0


async def test_there_is_always_one_slot_left(monkeypatch):
    limits = Limits(4, clock=Clock(monkeypatch))
    for _ in range(9):
        limits.rest(1.0)
        async with limits.slot():
            pass
    assert limits._allowed == 1.0


async def test_starts_are_spread_over_time(monkeypatch):
    clock = Clock(monkeypatch)
    limits = Limits(50, rate=10, clock=clock)
    starts = []
    for _ in range(4):
        async with limits.slot():
            starts.append(round(clock.now - 100.0, 6))
    assert starts == [0.0, 0.1, 0.2, 0.3]
