"""What is to be done about the tunnels of a port-forward. Pure.

The far end answers pings while nothing stands in its way; but a Pod that does not take an upload stands in
its way, and may do so for long, and rightly. So silence alone ends no tunnel that has a connection on it: a
connection that is cut costs a Dask client its futures. It ends those that the network has forgotten: spare
ones, which nothing can block, are silent as well, and one that was dialled since is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

PING_SECONDS = 2.0
"""After how long without a word a tunnel is pinged."""

PONG_SECONDS = 2.0
"""After how long without an answer it counts as silent, and is given to nobody."""

PROOF_SECONDS = 2.0
"""How long a younger tunnel has to work before silent ones are given up: TCP may just be about to recover."""

SLOW_SECONDS = 2.0
"""After how long others are dialled beside one that is not there yet: it may never be, and nobody says so."""


class Seen(Protocol):
    """A tunnel, as far as it matters here; times are in seconds.

    Attributes
    ----------
    born : float
        When it was there.
    heard : float
        When the far end last said anything.
    asked : float or None
        Since when an answer is awaited.
    is_idle : bool
        Whether it carries no connection.
    is_free : bool
        Whether a connection may be put on it.
    """

    born: float
    heard: float
    asked: float | None

    @property
    def is_idle(self) -> bool: ...  # noqa: D102

    @property
    def is_free(self) -> bool: ...  # noqa: D102


T = TypeVar("T", bound=Seen)


def is_silent(tunnel: Seen, now: float) -> bool:
    """Say whether a tunnel has not answered for too long."""
    return tunnel.asked is not None and now - tunnel.asked >= PONG_SECONDS


def to_ask(tunnels: Iterable[T], now: float) -> list[T]:
    """Choose the tunnels that are to be pinged."""
    return [each for each in tunnels if each.asked is None and now - each.heard >= PING_SECONDS]


def ready(tunnels: Iterable[T], now: float) -> list[T]:
    """Choose the tunnels that may be given a connection, the one that rested longest first."""
    return sorted(
        (each for each in tunnels if each.is_free and not is_silent(each, now)), key=lambda each: each.heard
    )


def forgotten(tunnels: Sequence[T], now: float) -> list[T]:
    """Choose the tunnels to give up because nobody answers on them, though a younger one works."""
    spare = [each for each in tunnels if each.is_idle and each.asked is not None and is_silent(each, now)]
    since = min((each.asked for each in spare if each.asked is not None), default=now)
    if not any(since < each.born < each.heard and now - each.born >= PROOF_SECONDS for each in tunnels):
        return []
    old = [each for each in tunnels if each.born <= since]
    if any(each.heard - since >= PONG_SECONDS for each in old):
        return spare  # Others of their age answer: it is not the network.
    return [each for each in tunnels if each.born <= since or is_silent(each, now)]


def to_dial(wanted: int, ready: int, dials: Sequence[float], in_trouble: bool, now: float) -> int:
    """Decide how many tunnels to dial now.

    Parameters
    ----------
    wanted : int
        How many should stand ready.
    ready : int
        How many do.
    dials : sequence of float
        When those were dialled that are on the way. Slow ones are not counted on; but the server may be slow,
        so others are dialled one by one.
    in_trouble : bool
        Whether the last attempt failed: then they are dialled one by one as well.
    now : float
        Time, as in `Seen`.
    """
    young = sum(now - at < SLOW_SECONDS for at in dials)
    missing = max(wanted - ready - young, 0)
    if young < len(dials):
        return 0 if young else min(missing, 1)
    return min(missing, 1) if in_trouble else missing
