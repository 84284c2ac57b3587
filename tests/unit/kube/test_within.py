"""A time limit that does not get in the way of being cancelled."""

from __future__ import annotations

import asyncio

import pytest

from dask_gpu_k8s.kube.within import within


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
