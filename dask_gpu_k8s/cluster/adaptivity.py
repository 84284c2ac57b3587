"""What `KubeCluster` says of the sizes of worker groups."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.cluster.arguments import parse_count
from dask_gpu_k8s.errors import InvalidArgument


@dataclass(frozen=True)
class Adaptivity:
    """What `KubeCluster.adapt` has asked for.

    Attributes
    ----------
    minimum, maximum : int
        Bounds of the number of workers.
    """

    minimum: int
    maximum: int


@dataclass(frozen=True)
class WorkerGroup:
    """A group of workers.

    Attributes
    ----------
    n_workers : int
        How many workers it is to have now.
    adaptivity : Adaptivity or None
        Between which bounds it grows and shrinks by itself; ``None`` if it does not.
    """

    n_workers: int
    adaptivity: Adaptivity | None = None


@dataclass(frozen=True)
class PendingAdaptivity(Adaptivity):
    """The same while the request is on its way; it can be awaited, in any loop, and is done in any case."""

    request: asyncio.Future[None]

    def __await__(self) -> Generator[Any, None, Adaptivity]:
        yield from self._done().__await__()
        return Adaptivity(self.minimum, self.maximum)

    async def _done(self) -> None:
        home = self.request.get_loop()
        if home is asyncio.get_running_loop():
            await self.request
            return

        async def there() -> None:
            await self.request

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), home))


def parse_bounds(minimum: Any, maximum: Any) -> Adaptivity:
    """Check the bounds of adaptive scaling.

    Raises
    ------
    InvalidType, InvalidArgument
    """
    if maximum is None:
        raise InvalidArgument(
            "is missing", where="maximum", cure="Say how many workers there may be at most: maximum=10."
        )
    bounds = Adaptivity(parse_count(minimum or 0, "minimum"), parse_count(maximum, "maximum"))
    if bounds.minimum > bounds.maximum:
        raise InvalidArgument(f"{bounds.minimum} is more than maximum, {bounds.maximum}", where="minimum")
    return bounds
