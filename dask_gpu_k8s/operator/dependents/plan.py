"""Dependents of an owner that is gone or going: all are deleted at once.

Each only as the cache has it (uid and resourceVersion): with ``kubectl delete --cascade=orphan`` the
collector takes the owner's reference off its dependents first, which makes them other versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.dependents.observe import Observed, belongs_to
from dask_gpu_k8s.operator.engine.actions import Conclusion, Delete, Outcome, Plan, Propagation, delete_of
from dask_gpu_k8s.operator.objects import scheduler, workers
from dask_gpu_k8s.operator.pods import is_terminating

GRACE = {labels.WORKER: workers.GRACE_SECONDS, labels.SCHEDULER: scheduler.GRACE_SECONDS}
"""What Pods have by component, where the user has said nothing."""

LAST_GRACE = 2
"""Seconds to end for a Pod whose cluster is gone: what it holds is lost with that, and a GPU comes free at
once. A scheduler and workers that are told to end at the same time else wait for each other, for up to 30 s
(seen in 2025.2.0 and 2026.8.0)."""


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about the dependents of an owner now.

    Workers go right after their group, before the collector has heard of that: a Pod that it has told to end
    does so in its own time.
    """
    if not seen.is_going:
        return Plan()
    own = [(resource, obj) for resource, obj in seen.dependents if belongs_to(obj, seen.uid)]
    stages = (_deletes(seen, own), _deletes(seen, [(POD, pod) for pod in seen.workers]))
    return Plan(tuple(stage for stage in stages if stage))


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say nothing: there is nobody left to say it of."""
    return None


def _deletes(seen: Observed, objs: Iterable[tuple[Resource, Manifest]]) -> tuple[Delete, ...]:
    return tuple(
        _delete(resource, obj, _grace(seen, resource, obj), seen.waits_for_all)
        for resource, obj in objs
        if not _goes_already(obj, _grace(seen, resource, obj))
    )


def _goes_already(obj: Manifest, grace: int | None) -> bool:
    left = obj["metadata"].get("deletionGracePeriodSeconds") or 0
    return is_terminating(obj) and (grace is None or left <= grace)


def _delete(resource: Resource, obj: Manifest, grace: int | None, in_foreground: bool) -> Delete:
    propagation: Propagation | None = "Foreground" if in_foreground and resource != POD else None
    return delete_of(resource, obj, unchanged=True, grace_seconds=grace, propagation=propagation)


def _grace(seen: Observed, resource: Resource, obj: Manifest) -> int | None:
    """Return how long a Pod gets to end, unless the user has said that or its cluster lives."""
    usual = GRACE.get((obj["metadata"].get("labels") or {}).get(labels.COMPONENT, ""))
    if resource != POD or usual is None or _is_of(obj, seen.cluster):
        return None
    return LAST_GRACE if obj["spec"].get("terminationGracePeriodSeconds") == usual else None


def _is_of(pod: Manifest, cluster: Manifest | None) -> bool:
    """Say whether a Pod is of this cluster, and not of an earlier one of its name."""
    if cluster is None:
        return False
    return bool(pod["metadata"]["creationTimestamp"] >= cluster["metadata"]["creationTimestamp"])
