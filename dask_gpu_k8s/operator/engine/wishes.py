"""What autoscalers wished lately, for their stabilisation windows.

Kept in memory: after a restart each window begins anew, which delays a change and never hastens one.
"""

from __future__ import annotations

from collections.abc import Callable

from dask_gpu_k8s.operator.engine.facts import Key

GAP = 15.0
"""Seconds without a word from the scheduler after which earlier wishes mean nothing any more."""


class Wishes:
    """Wished numbers of workers over time, by autoscaler.

    Parameters
    ----------
    clock : callable
        Monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._noted: dict[Key, list[tuple[float, int]]] = {}

    def note(self, key: Key, wish: int, current: int, keep: float) -> None:
        """Note a wish.

        Parameters
        ----------
        key : Key
        wish : int
        current : int
            How many there are to be now; where a window begins, it is as if this had been wished.
        keep : float
            Seconds for which it matters.
        """
        now = self._clock()
        noted = self._noted.get(key, [])
        if not noted or now - noted[-1][0] > GAP:
            noted = [(now, current)]
        self._noted[key] = [(at, each) for at, each in noted if at > now - keep] + [(now, wish)]

    def lowest(self, key: Key, seconds: float) -> int:
        """Return the lowest wish of the last seconds, the last one in any case."""
        return min(self._within(key, seconds))

    def highest(self, key: Key, seconds: float) -> int:
        """Return the highest wish of the last seconds, the last one in any case."""
        return max(self._within(key, seconds))

    def forget(self, key: Key) -> None:
        """Forget an autoscaler that is gone."""
        self._noted.pop(key, None)

    def _within(self, key: Key, seconds: float) -> list[int]:
        noted = self._noted[key]
        since = self._clock() - seconds
        return [wish for at, wish in noted if at > since] or [noted[-1][1]]
