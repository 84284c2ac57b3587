"""How many requests are under way at once, how many begin in a second, and when the server wants a rest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

IN_FLIGHT = 50
"""Requests at once from one client; more would only wait at the server."""


class Limits:
    """Slots for requests, handed out in the order in which they were asked for.

    A server that is too busy (429) gets a rest from everybody who shares the limits, not only from the
    request that it refused, and half of what was under way at once afterwards; each success adds a little
    back. Else each of many parallel requests would find out for itself, again and again.

    Parameters
    ----------
    in_flight : int, optional
        Most requests at once.
    rate : float, optional
        Most requests that begin in a second; by default as many as there are.
    clock : callable, optional
        Monotonic time in seconds.

    Attributes
    ----------
    under_way : int
        Slots in use.
    """

    def __init__(
        self,
        in_flight: int = IN_FLIGHT,
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.under_way = 0
        self._most = self._allowed = float(in_flight)
        self._interval = 1.0 / rate if rate else 0.0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next_start = self._rest_until = float("-inf")

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and keep it for the length of an ``async with``."""
        await self._take()
        try:
            await self._wait_for_start()
            yield
        finally:
            self.under_way -= 1
            self._hand_on()

    def rest(self, seconds: float) -> None:
        """Begin nothing for so many seconds, and less at once after: the server said that it is too busy."""
        now = self._clock()
        if now >= self._rest_until:
            # What else was under way is refused for the same reason: that counts once.
            self._allowed = max(1.0, self._allowed / 2)
        self._rest_until = max(self._rest_until, now + seconds)

    def succeeded(self) -> None:
        """Take note that the server did what it was asked."""
        if self._allowed < self._most:
            self._allowed = min(self._most, self._allowed + 1.0 / self._allowed)
            self._hand_on()

    async def _take(self) -> None:
        if not self._waiting and self.under_way < int(self._allowed):
            self.under_way += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # It was our turn just then: the next one's now.
                self.under_way -= 1
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        while self._waiting and self.under_way < int(self._allowed):
            turn = self._waiting.popleft()
            if not turn.done():
                self.under_way += 1
                turn.set_result(None)

    async def _wait_for_start(self) -> None:
        start = max(self._clock(), self._next_start)
        self._next_start = start + self._interval
        wait = max(start, self._rest_until) - self._clock()
        if wait > 0:
            await asyncio.sleep(wait)
            if self._rest_until > self._clock():
                # Meanwhile the server asked for more rest.
                await self._wait_for_start()
