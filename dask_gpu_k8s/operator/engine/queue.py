"""The queue between what changed and who looks at it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

NORMAL = 0
LOW = -1
"""Priority of the initial list: a restart must not delay what a user does just then."""


STALE_AT_MOST = 1000
"""Outdated entries, beside as many as there are keys, that may wait for their time."""


class QueueClosed(Exception):
    """The queue hands out nothing more."""


@dataclass(eq=False)
class _Entry:
    due: float
    priority: int


class WorkQueue(Generic[K]):
    """Keys waiting to be worked on.

    1. A key is queued at most once.
    2. Added again, the earlier time and the higher priority win.
    3. Of the keys that are due, the higher priority goes first, then who became due first.
    4. A key handed out is not handed out again before `done`.
    5. A key added while it is worked on runs once more afterwards.
    6. `retry` adds a key after a delay that grows with each failure in a row.
    7. `forget` says that a key succeeded: the next failure starts with the shortest delay.
    8. The delays of two keys have nothing to do with each other.
    9. `close` wakes everybody who waits, with `QueueClosed`.
    10. Nothing is ever dropped before that.

    Parameters
    ----------
    clock : callable
        Monotonic time in seconds.
    delays : callable
        Makes the iterator of a key's growing delays in seconds.
    """

    def __init__(self, clock: Callable[[], float], delays: Callable[[], Iterator[float]]) -> None:
        self._clock = clock
        self._make_delays = delays
        self._entries: dict[K, _Entry] = {}
        self._later: list[tuple[float, int, K, _Entry]] = []
        self._ready: list[tuple[int, int, K, _Entry]] = []
        self._working: set[K] = set()
        self._again: dict[K, _Entry] = {}
        self._delays: dict[K, Iterator[float]] = {}
        self._order = itertools.count()
        self._news = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries) + len(self._again)

    def due(self) -> tuple[int, float]:
        """Return how many keys wait to be handed out, and for how many seconds the first has done so."""
        now = self._clock()
        since = [entry.due for entry in self._entries.values() if entry.due <= now]
        return len(since), now - min(since) if since else 0.0

    def add(self, key: K, *, after: float = 0.0, priority: int = NORMAL) -> None:
        """Queue a key.

        Parameters
        ----------
        key : hashable
        after : float, optional
            Seconds from now before it may be handed out.
        priority : int, optional
            Higher goes first.
        """
        entry = _Entry(self._clock() + after, priority)
        if key in self._working:
            self._again[key] = _earlier(entry, self._again.get(key))
        else:
            self._insert(key, _earlier(entry, self._entries.get(key)))

    def retry(self, key: K) -> float:
        """Queue a key that failed and return the delay in seconds."""
        delays = self._delays.get(key)
        if delays is None:
            delays = self._delays[key] = self._make_delays()
        delay = next(delays)
        self.add(key, after=delay)
        return delay

    def forget(self, key: K) -> None:
        """Note that a key succeeded."""
        self._delays.pop(key, None)

    def take(self) -> K | None:
        """Hand out the next key that is due, or ``None``. The taker calls `done` afterwards."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            _, order, key, entry = heapq.heappop(self._later)
            if self._entries.get(key) is entry:
                heapq.heappush(self._ready, (-entry.priority, order, key, entry))
        while self._ready:
            _, _, key, entry = heapq.heappop(self._ready)
            if self._entries.get(key) is entry:
                del self._entries[key]
                self._working.add(key)
                return key
        return None

    def done(self, key: K) -> None:
        """Give a key back after work, whatever came of it."""
        self._working.discard(key)
        entry = self._again.pop(key, None)
        if entry is not None:
            self._insert(key, entry)

    async def get(self) -> K:
        """Wait for the next key that is due.

        Raises
        ------
        QueueClosed
            If the queue was closed.
        """
        while not self._closed:
            key = self.take()
            if key is not None:
                return key
            self._news.clear()
            await self._wait()
        raise QueueClosed

    async def _wait(self) -> None:
        """Wait until a key was added or the next one may have become due."""
        if not self._later:
            await self._news.wait()
            return
        wait = self._later[0][0] - self._clock()
        alarm = asyncio.get_running_loop().call_later(wait, self._news.set)
        try:
            await self._news.wait()
        finally:
            alarm.cancel()

    def close(self) -> None:
        """Hand out nothing more and wake everybody who waits."""
        self._closed = True
        self._news.set()

    def _insert(self, key: K, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            return
        self._entries[key] = entry
        heapq.heappush(self._later, (entry.due, next(self._order), key, entry))
        if len(self._later) > 2 * len(self._entries) + STALE_AT_MOST:
            # Those that an earlier time has replaced, which may be due in a day.
            self._later = [each for each in self._later if self._entries.get(each[2]) is each[3]]
            heapq.heapify(self._later)
        self._news.set()


def _earlier(new: _Entry, old: _Entry | None) -> _Entry:
    if old is None:
        return new
    if old.due <= new.due and old.priority >= new.priority:
        return old
    return _Entry(min(old.due, new.due), max(old.priority, new.priority))
