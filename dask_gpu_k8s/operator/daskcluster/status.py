"""DaskCluster: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.conditions import Said, with_conditions
from dask_gpu_k8s.api.security import wanted_secret
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster import conditions as say
from dask_gpu_k8s.operator.daskcluster.memory import Memory, has_failed, remember
from dask_gpu_k8s.operator.daskcluster.notes import notes
from dask_gpu_k8s.operator.daskcluster.observe import Observed, problem
from dask_gpu_k8s.operator.daskcluster.scheduler import is_going
from dask_gpu_k8s.operator.engine.actions import Conclusion, Outcome, Plan, refusals, soonest
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED
from dask_gpu_k8s.operator.objects.scheduler import scheduler_address
from dask_gpu_k8s.operator.objects.security import secret_of
from dask_gpu_k8s.operator.pods import is_terminating

RETRY_NAME_TAKEN = 5.0
"""Seconds until a name that somebody else's object holds is tried again."""

LOOK_SUSPENDING = 1.0
"""Seconds until it is counted again how many Pods have yet to end: the last one may end unheard."""


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say what there is of a cluster."""
    if is_terminating(seen.cluster) or seen.time_left_to_another(now):
        return None
    memory = remember(seen, is_going=is_going(seen))
    counts = _counts(seen)
    said = _said(seen, outcomes, memory, counts, now)
    conditions = with_conditions(seen.cluster, said, now)
    found = {each["type"]: each for each in conditions if each["type"] in said}
    status: dict[str, Any] = {
        "observedGeneration": seen.cluster["metadata"].get("generation"),
        "phase": _phase(seen, found),
        "conditions": conditions,
        **counts,
        **_memory(seen, memory),
    }
    if not problem(seen.cluster):
        status.update(_where(seen))
    return Conclusion(
        status, notes(seen, found, outcomes), soonest(plan.wake_after, *_waits(found, outcomes))
    )


def _where(seen: Observed) -> dict[str, Any]:
    """Say where the scheduler is, and how it speaks: as its Pod was made, else as the next one will be."""
    is_there = seen.scheduler is not None and seen.is_own(seen.scheduler)
    secret = secret_of(seen.scheduler) if is_there and seen.scheduler else wanted_secret(seen.cluster)
    known = seen.cluster.get("status") or {}
    told = {"securitySecret": secret} if secret or "securitySecret" in known else {}
    speaking = {**seen.cluster, "status": {"schedulerAddress": "known", **told}}
    return {"schedulerAddress": scheduler_address(speaking), **told}


def _waits(found: dict[str, Manifest], outcomes: list[Outcome]) -> list[float]:
    waits = [RETRY_REFUSED] if refusals(outcomes) else []
    if found["Accepted"]["reason"] == "NameTaken":
        waits.append(RETRY_NAME_TAKEN)
    if found.get("Suspended", {}).get("reason") == "Suspending":
        waits.append(LOOK_SUSPENDING)
    return waits


def _phase(seen: Observed, found: dict[str, Manifest]) -> str:
    if found["Accepted"]["status"] != "True":
        return "Error"
    if has_failed(seen):
        return "Failed"
    if seen.is_suspended:
        return "Suspended" if found["Suspended"]["status"] == "True" else "Suspending"
    if found["SchedulerReady"]["status"] == "True":
        return "Running"
    # Created lasts until something of the cluster is there to be seen.
    return "Pending" if seen.is_own(seen.scheduler) else "Created"


def _counts(seen: Observed) -> dict[str, Any]:
    statuses = [group.get("status") or {} for group in seen.groups]

    def total(field: str) -> int:
        return sum(int(status.get(field) or 0) for status in statuses)

    own = (seen.default_group or {}).get("status") or {} if seen.is_own(seen.default_group) else {}
    counts: dict[str, Any] = {
        "replicas": int(own.get("replicas") or 0),
        "desiredWorkers": total("desiredReplicas"),
        "readyWorkers": total("readyReplicas"),
        "pendingWorkers": total("pendingReplicas"),
        "unschedulableWorkers": total("unschedulableReplicas"),
    }
    if own.get("selector"):
        counts["selector"] = own["selector"]
    return counts


def _memory(seen: Observed, memory: Memory) -> dict[str, Any]:
    status: dict[str, Any] = {"schedulerRestarts": memory.total}
    pod = memory.manifest()
    if pod is not None or (seen.cluster.get("status") or {}).get("schedulerPod"):
        status["schedulerPod"] = pod
    return status


def _said(
    seen: Observed, outcomes: list[Outcome], memory: Memory, counts: dict[str, Any], now: datetime
) -> dict[str, Said]:
    scheduler = say.scheduler_ready(seen)
    said = {
        "Accepted": say.accepted(seen, outcomes),
        "SchedulerReady": scheduler,
        "WorkersReady": say.workers_ready(seen, counts["readyWorkers"], counts["desiredWorkers"]),
        "Ready": scheduler,
        "UpToDate": say.up_to_date(seen, outcomes),
        "SchedulerProtected": say.scheduler_protected(seen, outcomes),
        "SchedulerLost": say.scheduler_lost(seen, memory),
        "Suspended": say.suspended(seen),
        "NetworkRestricted": say.network_restricted(seen),
        "Secured": say.secured(seen, now),
    }
    return {type_: what for type_, what in said.items() if what}
