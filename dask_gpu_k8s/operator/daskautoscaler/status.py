"""DaskAutoscaler: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.conditions import Said, with_conditions
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.autoscalers import group_of
from dask_gpu_k8s.operator.daskautoscaler.observe import FROZEN, Observed
from dask_gpu_k8s.operator.daskautoscaler.plan import desired, room
from dask_gpu_k8s.operator.engine.actions import Conclusion, Note, Outcome, Patch, Plan
from dask_gpu_k8s.operator.pods import is_terminating

SERVING = ("Suspended", FROZEN, "SchedulerUnreachable", "DemandUnknown")
"""Reasons to do nothing for which the group keeps the size that was decided."""


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say whether an autoscaler works, and what holds it up. No number is in it that changes by the hour."""
    if is_terminating(seen.autoscaler):
        return None
    known = seen.autoscaler.get("status") or {}
    status: dict[str, Any] = {
        "observedGeneration": seen.autoscaler["metadata"].get("generation"),
        "workerGroup": group_of(seen.autoscaler),
        "conditions": _conditions(seen, now),
    }
    if seen.problem is not None and seen.problem.reason not in SERVING and "desiredReplicas" in known:
        status["desiredReplicas"] = None
    return Conclusion(status, _notes(seen, outcomes), plan.wake_after)


def _conditions(seen: Observed, now: datetime) -> list[Manifest]:
    found = {"Active": _active(seen)}
    if seen.wish is not None:
        found["Limited"] = _limited(seen)
        found["Unserved"] = _unserved(seen)
    return with_conditions(seen.autoscaler, found, now)


def _active(seen: Observed) -> Said:
    if seen.problem is not None:
        return "False", seen.problem.reason, seen.problem.message
    if seen.wish is not None and seen.wish.is_told:
        return "True", "WorkMeasured", "The group follows the work that there is for it."
    return (
        "True",
        "AdaptiveTarget",
        "The group follows Dask's adaptive target for the whole cluster: the scheduler says no more.",
    )


def _limited(seen: Observed) -> Said:
    assert seen.wish is not None
    maximum = seen.autoscaler["spec"]["maximum"]
    if seen.wish.lowest > maximum:
        return "True", "AtMaximum", f"More workers are wanted than spec.maximum, {maximum}, allows."
    if seen.wish.lowest > desired(seen) and room(seen) < maximum:
        return "True", "WorkersLeaving", "Workers that are on their way out count until they are gone."
    return "False", "WithinBounds", "As many workers are there as are wanted."


def _unserved(seen: Observed) -> Said:
    assert seen.wish is not None
    if not seen.wish.unserved:
        return "False", "ResourcesOffered", "Some group offers whatever resources tasks need."
    needs = "; ".join(seen.wish.unserved)
    message = f"Tasks wait for workers that offer {needs}, and no worker group of the cluster may have such."
    return "True", "ResourcesNotOffered", message


def _notes(seen: Observed, outcomes: list[Outcome]) -> tuple[Note, ...]:
    written = [outcome.action for outcome in outcomes if outcome.state == "done"]
    is_decided = any(isinstance(action, Patch) and action.sub == "status" for action in written)
    if not is_decided or desired(seen) == seen.current:
        return ()
    message = f"Number of workers of {group_of(seen.autoscaler)}: {desired(seen)} instead of {seen.current}."
    return (Note("Normal", "Scaled", message),)
