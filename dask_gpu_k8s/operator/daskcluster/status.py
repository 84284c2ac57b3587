"""DaskCluster: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.conditions import condition, find, set_condition
from dask_gpu_k8s.api.explain import explain_pod
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.observe import Observed, problem
from dask_gpu_k8s.operator.engine.actions import Conclusion, Note, Outcome, Plan, refusals, soonest
from dask_gpu_k8s.operator.engine.refusals import INVALID, RETRY_REFUSED, is_refused_for_good
from dask_gpu_k8s.operator.objects.scheduler import scheduler_address
from dask_gpu_k8s.operator.pods import is_ready, is_terminating, restarts

RETRY_NAME_TAKEN = 5.0
"""Seconds until a name that somebody else's object holds is tried again."""


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say what there is of a cluster."""
    if is_terminating(seen.cluster):
        return None
    status: dict[str, Any] = {
        "observedGeneration": seen.cluster["metadata"].get("generation"),
        "conditions": _conditions(seen, outcomes, now),
        **_counts(seen),
    }
    ready = find(status["conditions"], "SchedulerReady") or {}
    accepted = find(status["conditions"], "Accepted") or {}
    status["phase"] = _phase(seen, accepted, ready)
    if not problem(seen.cluster):
        status["schedulerAddress"] = scheduler_address(seen.cluster)
    wait = RETRY_REFUSED if refusals(outcomes) else None
    taken = RETRY_NAME_TAKEN if accepted.get("reason") == "NameTaken" else None
    return Conclusion(status, _notes(seen, accepted, ready), soonest(plan.wake_after, wait, taken))


def _phase(seen: Observed, accepted: Manifest, ready: Manifest) -> str:
    if accepted.get("status") != "True":
        return "Error"
    if ready.get("status") == "True":
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
    }
    if own.get("selector"):
        counts["selector"] = own["selector"]
    if seen.scheduler is not None and seen.is_own(seen.scheduler):
        counts["schedulerRestarts"] = restarts(seen.scheduler)
    return counts


def _conditions(seen: Observed, outcomes: list[Outcome], now: datetime) -> list[Manifest]:
    known = (seen.cluster.get("status") or {}).get("conditions") or []
    generation = seen.cluster["metadata"].get("generation")
    scheduler = _scheduler_ready(seen)
    found = {
        "Accepted": _accepted(seen, outcomes),
        "SchedulerReady": scheduler,
        "WorkersReady": _workers_ready(seen),
        "Ready": scheduler,
    }
    for type_, (state, reason, message) in found.items():
        new = condition(type_, state, reason, message, generation=generation, now=now)
        known = set_condition(known, new, now)
    return known


def _accepted(seen: Observed, outcomes: list[Outcome]) -> tuple[str, str, str]:
    wrong = problem(seen.cluster)
    if wrong:
        return "False", INVALID, wrong
    for refusal in refusals(outcomes):
        return "False", refusal.reason, refusal.message
    old = find((seen.cluster.get("status") or {}).get("conditions") or [], "Accepted") or {}
    if (seen.cooling or is_refused_for_good(seen.cluster)) and old.get("status") == "False":
        return "False", old["reason"], old.get("message", "")
    for part in seen.parts:
        if not seen.is_own(part) and not seen.is_leftover(part):
            text = f"{part['kind']} {part['metadata']['name']!r} exists and does not belong to this cluster."
            return "False", "NameTaken", text
    return "True", "Accepted", "The operator takes care of this cluster."


def _scheduler_ready(seen: Observed) -> tuple[str, str, str]:
    if seen.scheduler is None:
        return "False", "SchedulerMissing", "The scheduler Pod is not there yet."
    if not seen.is_own(seen.scheduler):
        return "False", "SchedulerMissing", "Another Pod still has the scheduler's name."
    if is_terminating(seen.scheduler):
        return "False", "SchedulerTerminating", "The scheduler Pod is being deleted."
    if is_ready(seen.scheduler):
        return "True", "SchedulerReady", "The scheduler Pod is ready."
    why = explain_pod(seen.scheduler)
    return "False", why.reason, f"The scheduler Pod is not ready: {why.message}"


def _workers_ready(seen: Observed) -> tuple[str, str, str]:
    counts = _counts(seen)
    text = f"{counts['readyWorkers']} of {counts['desiredWorkers']} workers are ready."
    if not (seen.is_own(seen.default_group) and all(map(_is_counted, seen.groups))):
        return "False", "WorkersPending", "The workers are not counted yet."
    if counts["readyWorkers"] >= counts["desiredWorkers"]:
        return "True", "WorkersReady", text
    return "False", "WorkersPending", text


def _is_counted(group: Manifest) -> bool:
    """Say whether a group's status speaks of the number of workers that is asked for now."""
    observed = (group.get("status") or {}).get("observedGeneration")
    return bool(observed == group["metadata"].get("generation"))


def _notes(seen: Observed, accepted: Manifest, ready: Manifest) -> tuple[Note, ...]:
    known = (seen.cluster.get("status") or {}).get("conditions") or []
    was_ready = find(known, "SchedulerReady") or {}
    was_accepted = find(known, "Accepted") or {}
    notes = []
    if accepted["status"] != "True" and was_accepted.get("reason") != accepted["reason"]:
        notes.append(Note("Warning", accepted["reason"], accepted["message"]))
    if ready["status"] == "True" != was_ready.get("status"):
        notes.append(Note("Normal", "SchedulerReady", ready["message"]))
    if ready["status"] != "True" == was_ready.get("status"):
        notes.append(Note("Warning", "SchedulerLost", ready["message"]))
    return tuple(notes)
