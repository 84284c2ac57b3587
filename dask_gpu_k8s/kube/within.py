"""Time limits and cancellation that do not get in each other's way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""How long a call that is cancelled may take to come to its own end."""


async def within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Await something for no longer than that.

    What `asyncio.wait_for` is for; but before Python 3.12 that one forgets a cancellation which comes just
    as the awaited ends, and whoever cancelled waits for ever.

    Parameters
    ----------
    seconds : float
    awaitable : awaitable

    Raises
    ------
    asyncio.TimeoutError
        If it took longer; it has been cancelled and has ended.
    Exception
        Whatever it raised.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def despite_cancellation(task: asyncio.Future[T], seconds: float) -> None:
    """Wait for a task for no longer than that, however often we are cancelled meanwhile.

    For cleaning up: whoever calls it is being cancelled already, and raises that when this is over.
    """
    deadline = time.monotonic() + seconds
    while not task.done() and (left := deadline - time.monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=left)


async def unhurried(awaitable: Awaitable[T]) -> T:
    """Await what may be opening a connection; where we are cancelled, it may come to its end.

    Tornado forgets a connection that is there while who asked for it is cancelled before it runs again, and
    its socket stays open. What takes longer than `GRACE_SECONDS` is not just about to be there.
    """
    task = asyncio.ensure_future(awaitable)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await despite_cancellation(task, GRACE_SECONDS)
        await ended(task)
        raise


async def ended(task: asyncio.Future[T]) -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.wait({task})


async def first(*awaitables: Awaitable[T]) -> T:
    """Await what ends first, and return or raise that; the others are cancelled, and have ended by then."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
