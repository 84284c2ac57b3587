"""DaskWorkerGroup: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import condition, find, set_condition
from dask_gpu_k8s.api.explain import explain_group
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import (
    Conclusion,
    Create,
    Note,
    Outcome,
    Patch,
    Plan,
    Retire,
    refusals,
    soonest,
)
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED, is_refused_for_good
from dask_gpu_k8s.operator.objects.workers import replicas_of
from dask_gpu_k8s.operator.pods import is_marked, is_ready, is_terminating
from dask_gpu_k8s.operator.workergroup.observe import Observed
from dask_gpu_k8s.operator.workergroup.plan import RETRY_KEPT, RETRY_MOVING


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say what there is of a group and what holds it up; nothing while the cache lags behind."""
    if not seen.settled:
        return None
    group = seen.group
    desired = replicas_of(group)
    ready = sum(is_ready(candidate.pod) for candidate in seen.counted)
    status: dict[str, Any] = {
        "observedGeneration": group["metadata"].get("generation"),
        "replicas": len(seen.counted),
        "desiredReplicas": desired,
        "readyReplicas": ready,
        "pendingReplicas": max(0, desired - ready),
        "selector": labels.selector(labels.of_workers(group["spec"]["cluster"], group["metadata"]["name"])),
        "conditions": _conditions(seen, outcomes, now, ready),
    }
    is_running = ready >= desired and not seen.leaving
    status["phase"] = "Running" if is_running else "Pending"
    refused = RETRY_REFUSED if refusals(outcomes) else None
    return Conclusion(
        status, _notes(seen, outcomes), soonest(plan.wake_after, refused, _retire_wait(outcomes))
    )


def _conditions(seen: Observed, outcomes: list[Outcome], now: datetime, ready: int) -> list[Manifest]:
    known = (seen.group.get("status") or {}).get("conditions") or []
    generation = seen.group["metadata"].get("generation")
    for type_, (state, reason, message) in (
        ("Ready", _ready(seen, outcomes, ready)),
        ("ScalingDown", _scaling_down(seen, outcomes)),
    ):
        new = condition(type_, state, reason, message, generation=generation, now=now)
        known = set_condition(known, new, now)
    return known


def _ready(seen: Observed, outcomes: list[Outcome], ready: int) -> tuple[str, str, str]:
    name = seen.group["spec"]["cluster"]
    if seen.cluster is None:
        return "False", "ClusterNotFound", f"There is no DaskCluster {name!r} in this namespace."
    refused = [outcome for outcome in refusals(outcomes) if isinstance(outcome.action, Create)]
    if refused:
        return "False", refused[0].reason, _plain(refused[0])
    old = find((seen.group.get("status") or {}).get("conditions") or [], "Ready") or {}
    if (seen.cooling or is_refused_for_good(seen.group)) and old.get("status") == "False":
        return "False", old["reason"], old.get("message", "")
    desired = replicas_of(seen.group)
    if ready >= desired:
        return "True", "WorkersReady", f"{ready} of {desired} workers are ready."
    why = explain_group([each.pod for each in seen.counted], desired)
    return "False", why.reason, why.message


def _plain(refusal: Outcome) -> str:
    """Leave the Pod's name out of a message: it would be another one, and a write, each time."""
    assert isinstance(refusal.action, Create)
    return refusal.message.replace(refusal.action.body["metadata"]["name"], "worker")


def _scaling_down(seen: Observed, outcomes: list[Outcome]) -> tuple[str, str, str]:
    kept = [pod for outcome in outcomes for pod in outcome.kept]
    excess = len(seen.leaving) + max(0, len(seen.counted) - replicas_of(seen.group))
    ending = sum(is_marked(each.pod) and is_terminating(each.pod) for each in seen.candidates)
    if not excess:
        if ending:
            return "True", "Ending", f"{ending} workers are ending."
        return "False", "Settled", "No worker is to go."
    if seen.unreachable:
        return (
            "True",
            "SchedulerUnreachable",
            f"{excess} workers are to go, but only the scheduler can move their data away and it does not "
            f"answer: {seen.unreachable}",
        )
    if kept:
        return (
            "True",
            "DataCannotMove",
            f"{len(kept)} workers stay for now: they hold the only copy of results, and none can take it.",
        )
    return "True", "Retiring", f"{excess} workers are to go."


def _retire_wait(outcomes: list[Outcome]) -> float | None:
    kept = RETRY_KEPT if any(outcome.kept for outcome in outcomes) else None
    moving = RETRY_MOVING if any(outcome.moving for outcome in outcomes) else None
    return soonest(kept, moving)


def _notes(seen: Observed, outcomes: list[Outcome]) -> tuple[Note, ...]:
    done = [outcome for outcome in outcomes if outcome.state == "done"]
    created = sum(isinstance(outcome.action, Create) for outcome in done)
    marked = sum(_is_mark(outcome) for outcome in done)
    lost = [pod for outcome in done if isinstance(outcome.action, Retire) for pod in outcome.lost]
    notes = []
    if created:
        notes.append(Note("Normal", "ScalingUp", f"Created {created} worker Pods."))
    if marked:
        notes.append(Note("Normal", "ScalingDown", f"Retiring {marked} workers."))
    if lost:
        message = f"Deleted {', '.join(lost)} with the only copy of results, which no worker could take."
        notes.append(Note("Warning", "ResultsLost", message))
    was = find((seen.group.get("status") or {}).get("conditions") or [], "Ready") or {}
    for refusal in refusals(outcomes)[:1]:
        # The message names another Pod each time; the reason is what changes.
        if was.get("reason") != refusal.reason:
            notes.append(Note("Warning", "WorkersRefused", refusal.message))
    return tuple(notes)


def _is_mark(outcome: Outcome) -> bool:
    action = outcome.action
    if not isinstance(action, Patch) or action.sub:
        return False
    return labels.RETIRE in ((action.patch["metadata"] or {}).get("annotations") or {})
