"""Time limits and cancellation that do not get in each other's way."""

from __future__ import annotations

import asyncio

import pytest

from dask_gpu_k8s.kube.within import despite_cancellation, first, within


async def test_what_is_quick_enough_is_returned_or_raised():
    async def fail():
        raise ValueError("x")

    assert await within(5, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ValueError, match="x"):
        await within(5, fail())


async def test_what_is_too_slow_is_ended_first():
    ended = []

    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, slow())
    assert ended == [True]


async def test_a_cancellation_that_comes_as_the_awaited_ends_is_not_forgotten():
    event = asyncio.Event()
    task = asyncio.create_task(within(5, event.wait()))
    await asyncio.sleep(0.01)
    event.set()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_cleans_up_is_waited_for_however_often_one_is_cancelled():
    go = asyncio.Event()
    cleaning = asyncio.ensure_future(go.wait())
    waiting = asyncio.create_task(despite_cancellation(cleaning, 60))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    await waiting
    assert cleaning.done()


async def test_what_does_not_end_is_waited_for_no_longer_than_said():
    never = asyncio.get_running_loop().create_future()
    await despite_cancellation(never, 0.01)
    assert not never.done()


async def test_the_first_is_returned_or_raised_when_the_others_have_ended():
    ended = []

    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def fail():
        await asyncio.sleep(0)
        raise ValueError("x")

    async def done():
        await asyncio.sleep(0)
        return "done"

    assert await first(slow(), done()) == "done"
    with pytest.raises(ValueError, match="x"):
        await first(slow(), fail())
    assert ended == [True, True]
