"""What a scheduler says of the work that it has, and of the worker groups that are to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """Tasks that wait or run and need the same resources of a worker.

    Attributes
    ----------
    needs : mapping
        Amounts by resource, as the tasks ask for them; empty if any worker will do.
    tasks : float
        How many, by count or estimate.
    seconds : float
        How long all of them take together on one thread, as Dask estimates it.
    """

    needs: Mapping[str, float]
    tasks: float
    seconds: float


@dataclass(frozen=True)
class GroupLoad:
    """The workers of a group that are registered and not on their way out.

    Attributes
    ----------
    pods : int
        Pods that they run in.
    workers, threads : int
        Worker processes and their threads, all together.
    busy : int
        Pods that cannot go without disturbing work.
    nbytes, limit : int
        Bytes of results that they hold, and how many fit; a limit of 0 is not known.
    """

    pods: int = 0
    workers: int = 0
    threads: int = 0
    busy: int = 0
    nbytes: int = 0
    limit: int = 0


@dataclass(frozen=True)
class Demand:
    """The work of a scheduler.

    Attributes
    ----------
    target : int, optional
        Dask's own adaptive target, of a scheduler that says no more than that.
    target_duration : float
        Seconds in which Dask's configuration wants work to be done.
    work : tuple of Work
    groups : mapping
        Load by worker group; workers that are not named after their Pod are under the empty name.
    """

    target: int | None = None
    target_duration: float = 5.0
    work: tuple[Work, ...] = ()
    groups: Mapping[str, GroupLoad] = field(default_factory=dict)
