"""How long to wait before trying again: one iterator, used wherever something is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator


class Backoff(Iterator[float]):
    """Delays that grow by a factor up to a maximum, each shortened by chance.

    Parameters
    ----------
    initial : float, optional
        Longest first delay in seconds.
    factor : float, optional
        Growth from one delay to the next.
    maximum : float, optional
        No delay is longer, in seconds.
    jitter : float, optional
        Share of the delay that chance may take away, 0 to 1, so that many clients of one server
        do not come back in step.
    rng : callable, optional
        Returns a float in [0, 1).
    """

    def __init__(
        self,
        initial: float = 0.1,
        *,
        factor: float = 2.0,
        maximum: float = 10.0,
        jitter: float = 0.5,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._initial = min(initial, maximum)
        self._factor = factor
        self._maximum = maximum
        self._jitter = jitter
        self._rng = rng
        self._next = self._initial

    def __next__(self) -> float:
        delay = self._next
        self._next = min(delay * self._factor, self._maximum)
        return delay * (1.0 - self._jitter * self._rng())

    def reset(self) -> None:
        """Start again from the first delay: what was tried has worked."""
        self._next = self._initial
