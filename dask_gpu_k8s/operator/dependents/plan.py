"""Dependents of an owner that is gone or going: all are deleted at once.

Each only as the cache has it (uid and resourceVersion): with ``kubectl delete --cascade=orphan`` the
collector takes the owner's reference off its dependents first, which makes them other versions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.dependents.observe import Observed
from dask_gpu_k8s.operator.engine.actions import Conclusion, Delete, Outcome, Plan
from dask_gpu_k8s.operator.objects.workers import GRACE_SECONDS
from dask_gpu_k8s.operator.pods import is_terminating

WORKER_GRACE = 2
"""Seconds to end for a worker whose cluster or group is gone: what it holds is lost with that, and its GPU
comes free at once. A scheduler and workers that are told to end at the same time else wait for each other,
for up to 30 s (seen in 2026.8.0)."""


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about the dependents of an owner now."""
    if not seen.is_going:
        return Plan()
    deletes = [
        _delete(resource, obj, _grace(seen, resource, obj), seen.waits_for_all)
        for resource, obj in seen.dependents
        if _belongs_to_nobody_else(obj, seen.uid) and not _goes_already(obj, _grace(seen, resource, obj))
    ]
    return Plan((tuple(deletes),) if deletes else ())


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say nothing: there is nobody left to say it of."""
    return None


def _belongs_to_nobody_else(obj: Manifest, uid: str) -> bool:
    return all(owner["uid"] == uid for owner in obj["metadata"]["ownerReferences"])


def _goes_already(obj: Manifest, grace: int | None) -> bool:
    left = obj["metadata"].get("deletionGracePeriodSeconds") or 0
    return is_terminating(obj) and (grace is None or left <= grace)


def _delete(resource: Resource, obj: Manifest, grace: int | None, in_foreground: bool) -> Delete:
    meta = obj["metadata"]
    propagation: Literal["Foreground"] | None = "Foreground" if in_foreground and resource != POD else None
    version = meta["resourceVersion"]
    return Delete(resource, meta["namespace"], meta["name"], meta["uid"], version, grace, propagation)


def _grace(seen: Observed, resource: Resource, obj: Manifest) -> int | None:
    """Return a worker's grace, unless the user has given it one or its cluster lives."""
    is_worker = (obj["metadata"].get("labels") or {}).get(labels.COMPONENT) == labels.WORKER
    if resource != POD or not is_worker:
        return None
    own = obj["spec"].get("terminationGracePeriodSeconds")
    return WORKER_GRACE if own == GRACE_SECONDS and not _is_of(obj, seen.cluster) else None


def _is_of(worker: Manifest, cluster: Manifest | None) -> bool:
    """Say whether a worker is of this cluster, and not of an earlier one of its name."""
    if cluster is None:
        return False
    return bool(worker["metadata"]["creationTimestamp"] >= cluster["metadata"]["creationTimestamp"])
