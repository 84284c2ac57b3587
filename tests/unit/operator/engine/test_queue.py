"""The work queue, against the contract in its docstring."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dask_gpu_k8s.operator.engine.queue import LOW, NORMAL, STALE_AT_MOST, QueueClosed, WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_queue(clock: Clock | None = None) -> WorkQueue[str]:
    return WorkQueue(clock or Clock(), lambda: iter([1.0, 2.0, 4.0]))


def test_a_key_is_queued_once():
    queue = a_queue()
    queue.add("a")
    queue.add("a")
    assert (queue.take(), queue.take()) == ("a", None)


def test_the_earlier_time_wins_either_way_round():
    clock = Clock()
    queue = a_queue(clock)
    queue.add("a", after=9)
    queue.add("a", after=2)
    queue.add("a", after=5)
    clock.now = 1.9
    assert queue.take() is None
    clock.now = 2.0
    assert queue.take() == "a"


def test_a_key_that_is_looked_at_often_leaves_no_trail_of_later_times():
    clock = Clock()
    queue = a_queue(clock)
    for _ in range(10 * STALE_AT_MOST):
        queue.add("a")
        assert queue.take() == "a"
        queue.done("a")
        queue.add("a", after=86400)
    assert len(queue._later) <= 2 * STALE_AT_MOST
    clock.now = 86400.0
    assert (queue.take(), queue.take()) == ("a", None)


def test_the_higher_priority_goes_first():
    queue = a_queue()
    queue.add("listed", priority=LOW)
    queue.add("too", priority=LOW)
    queue.add("changed")
    queue.add("too")
    assert [queue.take() for _ in range(3)] == ["changed", "too", "listed"]


def test_an_addition_during_work_runs_once_more():
    queue = a_queue()
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("a")
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"
    queue.done("a")
    assert queue.take() is None


def test_delays_grow_until_success_and_each_key_has_its_own():
    queue = a_queue()
    assert [queue.retry("a"), queue.retry("a"), queue.retry("b")] == [1.0, 2.0, 1.0]
    queue.forget("a")
    assert queue.retry("a") == 1.0


async def test_close_wakes_everybody():
    queue = a_queue()
    waiting = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()
    for task in waiting:
        with pytest.raises(QueueClosed):
            await task


async def test_whoever_waits_gets_what_comes():
    queue: WorkQueue[str] = WorkQueue(asyncio.get_running_loop().time, lambda: iter([1.0]))
    waiting = [asyncio.ensure_future(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add("a", after=0.01)
    queue.add("b")
    assert sorted(await asyncio.gather(*waiting)) == ["a", "b"]


class QueueAgainstModel(RuleBasedStateMachine):
    """The queue must do what a dict of due times would."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue = a_queue(self.clock)
        self.waiting: dict[str, tuple[float, int]] = {}
        self.again: dict[str, tuple[float, int]] = {}
        self.working: set[str] = set()

    @rule(
        key=st.sampled_from("abcd"),
        after=st.sampled_from([0.0, 1.0, 3.0]),
        priority=st.sampled_from([LOW, NORMAL]),
    )
    def add(self, key: str, after: float, priority: int) -> None:
        self.queue.add(key, after=after, priority=priority)
        place = self.again if key in self.working else self.waiting
        due, known = place.get(key, (float("inf"), LOW))
        place[key] = (min(due, self.clock.now + after), max(known, priority))

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        due = {key: entry for key, entry in self.waiting.items() if entry[0] <= self.clock.now}
        key = self.queue.take()
        assert (key is None) == (not due)
        if key is not None:
            assert due[key][1] == max(priority for _, priority in due.values())
            del self.waiting[key]
            self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.queue.done(key)
        self.working.remove(key)
        if key in self.again:
            self.waiting[key] = self.again.pop(key)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.queue) == len(self.waiting) + len(self.again)

    def teardown(self) -> None:
        for key in sorted(self.working):
            self.queue.done(key)
        self.clock.now += 100
        left = list(itertools.takewhile(lambda key: key is not None, iter(self.queue.take, object())))
        assert sorted(key for key in left if key) == sorted({*self.waiting, *self.again})


QueueAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestQueueAgainstModel = QueueAgainstModel.TestCase
