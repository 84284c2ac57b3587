"""Time that passes only where somebody waits: hours of waiting take milliseconds, the same each time.

`install` comes before anything else is imported, since names like ``time.monotonic`` are bound then.
"""

from __future__ import annotations

import asyncio
import datetime as datetimes
import random
import selectors
import time
import uuid
from typing import Any

START = 1_790_000_000.0
"""When every run begins, in seconds since 1970."""

ROUND = 1e-6
"""Seconds that a round of the loop takes: whoever waits for less than floats can tell still gets there."""

_REAL = datetimes.datetime
_now = 0.0
_ids = random.Random()


def now() -> float:
    """Return the seconds since the run began."""
    return _now


class _VirtualDatetime(_REAL):
    __slots__ = ()

    @classmethod
    def now(cls, tz: datetimes.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(START + _now, tz)


def utc_now() -> datetimes.datetime:
    """Return the time of day of the run."""
    moment: datetimes.datetime = _VirtualDatetime.now(datetimes.timezone.utc)
    return moment


def install() -> None:
    """Make this the time, and chance foreseeable, for all of this process."""
    time.monotonic = now
    time.time = lambda: START + _now
    datetimes.datetime = _VirtualDatetime  # type: ignore[misc]
    uuid.uuid4 = lambda: uuid.UUID(int=_ids.getrandbits(128), version=4)


class Stuck(Exception):
    """Everybody waits, and nothing will ever happen."""


class _Selector(selectors.SelectSelector):
    """Looks at no file, as nothing comes from outside: to wait is to let time pass."""

    def select(self, timeout: float | None = None) -> list[Any]:
        global _now
        if timeout is None:
            raise Stuck
        _now += max(timeout, ROUND)
        return []


def begin() -> asyncio.AbstractEventLoop:
    """Return a loop at the beginning of time, which is the present one until `end`."""
    global _now
    _now = 0.0
    random.seed(0)
    _ids.seed(0)
    loop = asyncio.SelectorEventLoop(_Selector())
    asyncio.set_event_loop(loop)
    return loop


def end(loop: asyncio.AbstractEventLoop) -> None:
    """End all that still runs in a loop, and the loop."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()


def run(main: Any) -> Any:
    """Run a coroutine from the beginning of time to its end."""
    loop = begin()
    try:
        return loop.run_until_complete(main)
    finally:
        end(loop)
