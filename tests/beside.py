"""A server of a test's own, in a thread beside the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def beside(manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Keep an asynchronous context open in a thread with an event loop of its own."""
    entered: Future[tuple[T, Callable[[], None]]] = Future()

    async def keep() -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        async with manager as value:
            entered.set_result((value, lambda: loop.call_soon_threadsafe(end.set) and None))
            await end.wait()

    with ThreadPoolExecutor(1) as thread:
        kept = thread.submit(lambda: asyncio.run(keep()))
        kept.add_done_callback(lambda done: entered.done() or entered.set_exception(done.exception()))
        value, leave = entered.result()
        try:
            yield value
        finally:
            leave()
            kept.result()
