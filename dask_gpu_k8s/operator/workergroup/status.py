"""DaskWorkerGroup: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import told, with_conditions
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import (
    Conclusion,
    Create,
    Note,
    Outcome,
    Plan,
    Retire,
    is_mark,
    refusals,
    soonest,
)
from dask_gpu_k8s.operator.engine.refusals import NAMESPACE_TERMINATING, RETRY_REFUSED
from dask_gpu_k8s.operator.pods import scheduling_of
from dask_gpu_k8s.operator.workergroup.observe import Observed
from dask_gpu_k8s.operator.workergroup.plan import RETRY_KEPT, RETRY_MOVING
from dask_gpu_k8s.operator.workergroup.said import ready, scaling_down, up_to_date


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say what there is of a group and what holds it up; nothing while the cache lags behind."""
    if not seen.settled:
        return None
    conditions = _conditions(seen, outcomes, now)
    status = {**_counts(seen), **_holders(seen), "conditions": conditions, "phase": _phase(seen)}
    refused = RETRY_REFUSED if refusals(outcomes) else None
    return Conclusion(
        status, _notes(seen, outcomes), soonest(plan.wake_after, refused, _retire_wait(outcomes))
    )


def _counts(seen: Observed) -> dict[str, Any]:
    group = seen.group
    pods = [candidate.pod for candidate in seen.counted]
    reasons = [scheduling_of(pod) for pod in pods if not pod["spec"].get("nodeName")]
    return {
        "observedGeneration": group["metadata"].get("generation"),
        "replicas": len(pods),
        "desiredReplicas": seen.desired,
        "readyReplicas": seen.ready,
        "pendingReplicas": max(0, seen.desired - seen.ready),
        "unschedulableReplicas": reasons.count("Unschedulable"),
        "updatedReplicas": len(pods) - len(seen.outdated),
        "selector": labels.selector(labels.of_workers(group["spec"]["cluster"], group["metadata"]["name"])),
    }


def _holders(seen: Observed) -> dict[str, Any]:
    """Confirm to holders that no worker comes or goes any more."""
    holders = list(seen.frozen_by) if seen.is_frozen and seen.is_still else None
    return {"frozenBy": holders} if holders or (seen.group.get("status") or {}).get("frozenBy") else {}


def _phase(seen: Observed) -> str:
    if seen.is_paused:
        return "Pending" if seen.candidates else "Suspended"
    return "Running" if seen.ready >= seen.desired and not seen.leaving else "Pending"


def _conditions(seen: Observed, outcomes: list[Outcome], now: datetime) -> list[Manifest]:
    said = {
        "Ready": ready(seen, outcomes),
        "ScalingDown": scaling_down(seen, outcomes),
        "UpToDate": up_to_date(seen),
    }
    return with_conditions(seen.group, said, now)


def _retire_wait(outcomes: list[Outcome]) -> float | None:
    kept = RETRY_KEPT if any(outcome.kept for outcome in outcomes) else None
    moving = RETRY_MOVING if any(outcome.moving for outcome in outcomes) else None
    return soonest(kept, moving)


def _notes(seen: Observed, outcomes: list[Outcome]) -> tuple[Note, ...]:
    done = [outcome for outcome in outcomes if outcome.state == "done"]
    created = sum(isinstance(outcome.action, Create) for outcome in done)
    marks = [outcome for outcome in done if is_mark(outcome.action)]
    lost = [pod for outcome in done if isinstance(outcome.action, Retire) for pod in outcome.lost]
    notes = []
    if created:
        notes.append(Note("Normal", "ScalingUp", f"Created {created} worker Pods."))
    if marks:
        notes.append(Note("Normal", "ScalingDown", f"Retiring {len(marks)} workers."))
    if lost:
        message = f"Deleted {', '.join(lost)} with the only copy of results, which no worker could take."
        notes.append(Note("Warning", "ResultsLost", message))
    return (*notes, *_refusal_note(seen, outcomes))


def _refusal_note(seen: Observed, outcomes: list[Outcome]) -> list[Note]:
    refused = [each for each in refusals(outcomes) if each.reason != NAMESPACE_TERMINATING][:1]
    was = told(seen.group, "Ready")
    # The message names another Pod each time; the reason is what changes.
    return [
        Note("Warning", "WorkersRefused", each.message)
        for each in refused
        if was.get("reason") != ready(seen, outcomes)[1]
    ]
