"""What may happen to watches on their way: events late, twice, in another order, or a cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any

from tests.faults import clock

ON_THE_WAY = 0.003
"""Seconds that an event takes; the answer to the request that caused it is there sooner."""

_EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
_GONE = json.dumps({"type": "ERROR", "object": _EXPIRED}).encode() + b"\n"


class Weather:
    """What happens to all watches of a server now."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.late: dict[str, float] = {}
        """Seconds by which events of a kind come later; ``""`` for all kinds."""
        self.copies = 1
        self.held: list[tuple[Stream, bytes]] | None = None
        """Events that are kept back, while somebody collects them."""
        self.past: int | None = None
        """The version as of which lists are answered."""
        self._listed: set[str] = set()
        self.oldest = 0
        """From before this version no watch can be resumed."""
        self._shuffled: dict[Stream, dict[str, list[bytes]]] | None = None

    def delay(self, plural: str) -> float:
        """Return how many seconds an event of a kind takes now."""
        return ON_THE_WAY + self.late.get(plural, self.late.get("", 0.0))

    def arrived(self, stream: Stream, line: bytes) -> None:
        """Pass an event on, or keep it."""
        if self._shuffled is not None:
            meta = json.loads(line)["object"]["metadata"]
            self._shuffled.setdefault(stream, {}).setdefault(meta.get("name", ""), []).append(line)
            return
        if self.held is not None:
            self.held.append((stream, line))
        for _ in range(self.copies):
            stream.send(line)

    def shuffle(self, seconds: float) -> None:
        """Keep events back for a while, and then deliver the last objects first, each with its own order."""
        self._shuffled = {}

        def deliver() -> None:
            shuffled, self._shuffled = self._shuffled or {}, None
            for stream, by_name in shuffled.items():
                for lines in reversed(by_name.values()):
                    for line in lines:
                        stream.send(line)

        asyncio.get_running_loop().call_later(seconds, deliver)

    def catch_up(self) -> None:
        """Answer lists as of now again."""
        self.past = None

    def cut(self, *, gone: bool = False) -> None:
        """End all watches, by a broken connection or by 410."""
        for stream in self.streams:
            stream.cut(gone)

    def version_listed(self, api: Any, plural: str) -> int | None:
        """Return the version as of which a list is answered, None for now; only the first is of the past."""
        if self.past is None or plural in self._listed or self.past >= api.store.version:
            return None
        self._listed.add(plural)
        return self.past


class Stream:
    """The answer to a watch, as `KubeClient` reads it."""

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], plural: str, weather: Weather, silence: float | None
    ) -> None:
        self.content = self
        self.plural = plural
        self._weather = weather
        self._silence = silence
        self._pending: deque[tuple[float, bytes]] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._broken = False
        self._pump = asyncio.ensure_future(self._follow(pieces))
        weather.streams.append(self)

    async def readany(self) -> bytes:
        """Return what has come; nothing at the end, `TimeoutError` after too long a silence."""
        end = clock.now() + self._silence if self._silence else float("inf")
        while True:
            if self._broken:
                raise ConnectionResetError("the connection was cut")
            due = self._pending[0][0] if self._pending else float("inf")
            if due <= clock.now():
                return self._pending.popleft()[1]
            if self._ended and not self._pending:
                return b""
            if clock.now() >= end:
                raise asyncio.TimeoutError
            await self._wait(min(due, end) - clock.now())

    async def _wait(self, seconds: float) -> None:
        """Wait for news. Not by `asyncio.wait_for`, which in Python 3.11 may miss that it is cancelled."""
        self._news.clear()
        timer = None
        if seconds < float("inf"):
            timer = asyncio.get_running_loop().call_later(seconds, self._news.set)
        try:
            await self._news.wait()
        finally:
            if timer:
                timer.cancel()

    def send(self, line: bytes) -> None:
        """Deliver an event, after those that are under way."""
        due = clock.now() + self._weather.delay(self.plural)
        if self._pending:
            due = max(due, self._pending[-1][0])
        self._pending.append((due, line))
        self._news.set()

    def cut(self, gone: bool) -> None:
        """End, and lose what is under way."""
        self._pump.cancel()
        self._pending.clear()
        if gone:
            self._pending.append((clock.now(), _GONE))
        self._broken = not gone
        self._news.set()

    async def close(self) -> None:
        """Stop."""
        if self in self._weather.streams:
            self._weather.streams.remove(self)
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)

    async def _follow(self, pieces: AsyncGenerator[bytes, None]) -> None:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                for line in piece.splitlines(keepends=True):
                    self._weather.arrived(self, line)
        self._ended = True
        self._news.set()
