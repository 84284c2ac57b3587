"""Workers that end soon after their start: each is replaced later than the last.

How many there were in a row stands on the Pod that took the place of the last one. A kubelet that restarts
containers has a back-off of its own; this is about Pods that have ended for good.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import parse_time
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.pods import ended_at, started_at

STABLE = timedelta(seconds=60)
"""A Pod that ran for so long has not failed at once, whatever its end."""

FIRST_DELAY = 10.0
LONGEST_DELAY = 300.0


def failures_in_a_row(pod: Manifest) -> int:
    """Return how many Pods have ended badly in this one's place, itself included; it has ended."""
    begun, ended = started_at(pod), ended_at(pod)
    if begun and ended and ended - begun >= STABLE:
        return 0
    return _earlier(pod) + 1


def time_kept(pod: Manifest, now: datetime) -> float:
    """Return for how many more seconds a Pod that has ended keeps its place before it is replaced.

    The first one is replaced at once; then the time doubles from `FIRST_DELAY` to `LONGEST_DELAY`.
    """
    failures = failures_in_a_row(pod)
    if failures < 2:
        return 0.0
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 2, 10))
    # Without a container's word, e.g. where a kubelet refuses a Pod, its creation is all that is known.
    since = ended_at(pod) or parse_time(pod["metadata"]["creationTimestamp"])
    return max(0.0, (since + timedelta(seconds=delay) - now).total_seconds())


def _earlier(pod: Manifest) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(labels.FAILURES, "")
    return int(text) if text.isdecimal() else 0
