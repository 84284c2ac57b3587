"""DaskCluster: what is told as Events: transitions of its conditions, and acts that may surprise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.certificates import TOLD_ONCE, tell_issue
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.daskcluster.scheduler import is_going
from dask_gpu_k8s.operator.engine.actions import Delete, Issue, Note, Outcome
from dask_gpu_k8s.operator.pods import is_finished


def notes(seen: Observed, found: Mapping[str, Manifest], outcomes: list[Outcome]) -> tuple[Note, ...]:
    """Say what has changed since the status was last written; `found` are the conditions now, by type."""
    return (*_transitions(seen, found), *_acts(seen, outcomes))


def _transitions(seen: Observed, found: Mapping[str, Manifest]) -> Iterator[Note]:
    for type_, new in found.items():
        old = told(seen.cluster, type_)
        is_other = (old.get("status"), old.get("reason")) != (new["status"], new["reason"])
        if is_other and (note := _transition(type_, old, new)):
            yield note
    lost = found.get("SchedulerLost", {}).get("status") == "True"
    ready, was_ready = found["SchedulerReady"], told(seen.cluster, "SchedulerReady").get("status") == "True"
    if was_ready and ready["status"] != "True" and not lost and not is_going(seen):
        yield Note("Warning", "SchedulerNotReady", ready["message"])


def _transition(type_: str, old: Manifest, new: Manifest) -> Note | None:
    status, reason, message = new["status"], new["reason"], new["message"]
    if type_ in ("Accepted", "UpToDate") and status == "False":
        return Note("Warning", reason, message)
    if type_ == "SchedulerReady" and status == "True":
        return Note("Normal", "SchedulerReady", message)
    if type_ == "SchedulerReady" and reason == "NameBlocked":
        return Note("Warning", reason, message)
    if type_ == "SchedulerLost" and status == "True":
        return Note("Warning", "SchedulerLost", message)
    if type_ == "Suspended" and reason != "Suspending":
        return Note("Normal", reason, message)
    if type_ == "Secured" and reason in TOLD_ONCE:
        return Note("Warning", reason, message)
    return None


def _acts(seen: Observed, outcomes: list[Outcome]) -> Iterator[Note]:
    for outcome in outcomes:
        action = outcome.action
        pod = seen.scheduler
        if outcome.state == "done" and isinstance(action, Issue):
            was_secured = told(seen.cluster, "Secured").get("status") == "True"
            if note := tell_issue(action, was_secured):
                yield note
        if outcome.state != "done" or not isinstance(action, Delete) or pod is None:
            continue
        if action.uid != pod["metadata"]["uid"]:
            continue
        if action.grace_seconds == 0:
            text = (
                f"Pod {action.name} was still there after its grace; it is deleted by force to free its name."
            )
            yield Note("Warning", "DeletedByForce", text)
        elif is_going(seen) and not is_finished(pod) and not seen.is_suspended:
            yield Note(
                "Normal", "SchedulerReplaced", "The scheduler's template has changed; it is made anew."
            )
