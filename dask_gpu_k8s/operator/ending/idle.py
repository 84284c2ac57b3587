"""Since when a cluster is idle, and when that has been for too long.

The scheduler knows best: it notes four times a second whether there was work, however short, and says
since when there was none. Its clock need not be ours, so what it says is a mark: as long as it stays the
same, there was no work in between. The time beside it is ours; it stands in the status, so that neither a
restart of the operator nor one of the scheduler is taken for idleness.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import format_time, parse_time
from dask_gpu_k8s.api.types import Manifest

SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 60.0


@dataclass(frozen=True)
class Look:
    """What a scheduler answered.

    Attributes
    ----------
    since : float or None
        Since when it is idle, in seconds since the epoch by its own clock; ``None`` while it is not.
    """

    since: float | None

    @property
    def mark(self) -> str:
        """The answer as a word, to be compared with later ones."""
        return repr(self.since)


@dataclass(frozen=True)
class Period:
    """A time without work: since when, by our clock, and by which mark it is known again."""

    since: datetime
    mark: str

    def status(self) -> Manifest:
        """Write it down."""
        return {"idleSince": format_time(self.since), "idleMark": self.mark}


NOT_IDLE: Manifest = {"idleSince": None, "idleMark": None}


def timeout_of(cluster: Manifest) -> int:
    """Return after how many seconds without work a cluster goes; 0 means never."""
    return int(cluster["spec"].get("idleTimeout") or 0)


def interval_of(timeout: int) -> float:
    """Return how many seconds lie between two looks."""
    return min(LONGEST_INTERVAL, max(SHORTEST_INTERVAL, timeout / 20))


def known_period(cluster: Manifest) -> Period | None:
    """Read what has been written down."""
    status = cluster.get("status") or {}
    if not status.get("idleSince"):
        return None
    return Period(parse_time(status["idleSince"]), str(status.get("idleMark")))


def present_period(cluster: Manifest, look: Look, now: datetime) -> Period | None:
    """Say since when a cluster is idle, by what its scheduler has just answered.

    A new period counts from the first look at which it has lasted for an interval: then a cluster with
    a little work all the time has nothing written into its status, and none goes too early because its
    scheduler's clock is slow.
    """
    known = known_period(cluster)
    if look.since is None:
        return None
    if known is not None and known.mark == look.mark:
        return known
    if is_starting(cluster):
        return None
    lasted = now.timestamp() - look.since
    return Period(now, look.mark) if lasted >= interval_of(timeout_of(cluster)) else None


def is_starting(cluster: Manifest) -> bool:
    """Say whether a cluster has none of its workers yet; a GPU node may take longer than any timeout."""
    status = cluster.get("status") or {}
    return bool(status.get("desiredWorkers")) and not status.get("readyWorkers")


def is_over(cluster: Manifest, period: Period | None, now: datetime) -> bool:
    """Say whether a cluster has been idle for too long."""
    return period is not None and now - period.since >= timedelta(seconds=timeout_of(cluster))
