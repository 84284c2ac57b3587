"""DaskAutoscaler: what to do about it."""

from __future__ import annotations

from datetime import datetime

from dask_gpu_k8s.api.conditions import format_time, parse_time, told
from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskautoscaler.observe import FROZEN, Observed
from dask_gpu_k8s.operator.engine.actions import Action, Patch, Plan, patch_of
from dask_gpu_k8s.operator.objects.metadata import owned_too
from dask_gpu_k8s.operator.pods import is_terminating

POLL = 5.0
"""Seconds between two questions to a scheduler."""

SLOWEST = 60.0
"""Most seconds between two questions to a scheduler that does not answer."""


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about an autoscaler now.

    What has been decided is written into its status before the group is told: the group goes by that, so
    that a number of replicas that somebody applies again ends and starts no worker.
    """
    if is_terminating(seen.autoscaler):
        return Plan()
    if seen.cluster is not None and not _is_adopted(seen.autoscaler, seen.cluster):
        return Plan(((_adopt(seen.autoscaler, seen.cluster),),))
    if seen.problem is not None:
        if seen.problem.reason == FROZEN:
            return Plan(wake_after=POLL)
        return Plan(wake_after=_patience(seen, now) if seen.problem.passes else None)
    stages = [_decide(seen, now), _tell(seen)]
    return Plan(tuple(tuple(stage) for stage in stages if stage), POLL)


def desired(seen: Observed) -> int:
    """Return how many workers the group is to have.

    It grows to what has been wished throughout the window for growing, and shrinks to the most that was
    wished in the one for shrinking; in between it stays. The bounds hold at once.
    """
    assert seen.wish is not None
    spec = seen.autoscaler["spec"]
    stable = min(max(seen.current, seen.wish.lowest), seen.wish.highest)
    wanted = max(spec["minimum"], min(spec["maximum"], stable))
    return int(min(wanted, max(seen.current, spec["minimum"], room(seen))))


def room(seen: Observed) -> int:
    """Return how many workers there may be beside those that are on their way out.

    Those still have their memory and GPUs, so they count. If nobody can take their data, though, only a
    new worker could, and one is let in.
    """
    maximum = int(seen.autoscaler["spec"]["maximum"])
    return max(maximum - seen.leaving, min(1, maximum) if seen.is_stuck else 0)


def _decide(seen: Observed, now: datetime) -> list[Action]:
    known = seen.autoscaler.get("status") or {}
    wanted = desired(seen)
    if known.get("desiredReplicas") == wanted:
        return []
    status: Manifest = {"desiredReplicas": wanted}
    if wanted != seen.current:
        status["lastScaleTime"] = format_time(now)
    return [patch_of(DASKAUTOSCALER, seen.autoscaler, {"status": status}, "status", unchanged=True)]


def _tell(seen: Observed) -> list[Action]:
    assert seen.group is not None
    wanted = desired(seen)
    if seen.group["spec"]["worker"].get("replicas") == wanted:
        return []
    patch: Manifest = {"spec": {"worker": {"replicas": wanted}}}
    # Whoever takes the autoscaler away and sets a size meanwhile has the last word.
    return [patch_of(DASKWORKERGROUP, seen.group, patch, unchanged=True)]


def _patience(seen: Observed, now: datetime) -> float:
    """Ask a scheduler that is silent for long less and less often."""
    active = told(seen.autoscaler, "Active")
    since = active.get("lastTransitionTime") if active.get("status") == "False" else None
    silent = (now - parse_time(since)).total_seconds() if since else 0.0
    return min(SLOWEST, max(POLL, silent / 4))


def _is_adopted(autoscaler: Manifest, cluster: Manifest) -> bool:
    owners = autoscaler["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == cluster["metadata"]["uid"] for owner in owners)


def _adopt(autoscaler: Manifest, cluster: Manifest) -> Patch:
    """Let an autoscaler go with its cluster; it is never deleted otherwise."""
    owners = owned_too(autoscaler, cluster, DASKCLUSTER)
    return patch_of(DASKAUTOSCALER, autoscaler, {"metadata": {"ownerReferences": owners}}, unchanged=True)
