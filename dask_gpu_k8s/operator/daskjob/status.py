"""DaskJob: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.conditions import condition, find, format_time, set_condition
from dask_gpu_k8s.api.explain import explain_pod
from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskjob.observe import (
    CLUSTER_CREATED,
    CREATED,
    ENDED,
    RUNNING,
    SUCCESSFUL,
    SUSPENDED,
    Observed,
)
from dask_gpu_k8s.operator.daskjob.progress import Progress, is_turn, progress
from dask_gpu_k8s.operator.daskjob.runner import own_view
from dask_gpu_k8s.operator.engine.actions import (
    Conclusion,
    Create,
    Note,
    Outcome,
    Plan,
    refusals,
    soonest,
)
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED, is_refused_for_good
from dask_gpu_k8s.operator.objects.jobs import is_sidecar, runner_name
from dask_gpu_k8s.operator.pods import ended_at, is_terminating, is_worker, started_at


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say how far a job is."""
    if is_terminating(seen.job) or seen.is_stale:
        return None
    refused = refusals(outcomes)
    step = progress(seen, now)
    if not is_turn(seen, step):
        step = _explained(seen, step, outcomes)
    status: dict[str, Any] = {
        "jobStatus": step.state,
        "reason": step.reason,
        "message": step.message,
        "attempt": step.attempt,
        "failed": step.failed,
        "observedGeneration": seen.job["metadata"].get("generation"),
        "conditions": _conditions(seen, step, refused, now),
        **_names(seen, step, outcomes),
        **_times(seen, step, now),
    }
    wait = RETRY_REFUSED if refused else None
    version = seen.job["metadata"].get("resourceVersion")
    return Conclusion(status, _notes(seen, step, refused), soonest(plan.wake_after, wait), version)


def _explained(seen: Observed, step: Progress, outcomes: list[Outcome]) -> Progress:
    """Add what was made just now, and what holds up a job whose runner does not run yet."""
    if step.state not in (CREATED, CLUSTER_CREATED):
        return step
    runner = seen.present(seen.runner)
    state = step.state
    if _has_cluster(seen, outcomes) and (is_sidecar(seen.job) or _has_runner(seen, outcomes)):
        state = CLUSTER_CREATED
    for refusal in refusals(outcomes):
        return _step(step, state, refusal.reason, refusal.message)
    if seen.cooling or is_refused_for_good(seen.job):
        return _step(step, state, *seen.said)
    if seen.outdated or (seen.in_the_way and state == CREATED):
        text = f"Waits until {_blocker(seen)}, left from before, is gone."
        return _step(step, state, "CleaningUp", text)
    if runner is not None and not is_terminating(runner):
        why = explain_pod(own_view(seen.job, runner))
        return _step(step, state, why.reason, f"The runner Pod {why.message}.")
    return _step(step, state, "Creating", "The cluster and the runner are being made.")


def _blocker(seen: Observed) -> str:
    """Name one thing that has yet to go; of many workers none, for it would be another one each time."""
    left = seen.outdated or seen.in_the_way
    named = sorted(f"{each['kind']} {each['metadata']['name']}" for each in left if not is_worker(each))
    return named[0] if named else "the last worker"


def _step(step: Progress, state: str, reason: str, message: str) -> Progress:
    return Progress(state, step.attempt, step.failed, reason, message)


def _has_cluster(seen: Observed, outcomes: list[Outcome]) -> bool:
    return seen.present(seen.cluster) is not None or _made(outcomes, DASKCLUSTER)


def _has_runner(seen: Observed, outcomes: list[Outcome]) -> bool:
    return seen.present(seen.runner) is not None or _made(outcomes, POD)


def _made(outcomes: list[Outcome], resource: Any) -> bool:
    return any(
        isinstance(each.action, Create) and each.action.resource == resource and each.state == "done"
        for each in outcomes
    )


def _names(seen: Observed, step: Progress, outcomes: list[Outcome]) -> dict[str, Any]:
    """Name what exists; a runner that has existed stays named, unless suspension has taken it away."""
    if step.state == SUSPENDED:
        return {"clusterName": None, "jobRunnerPodName": None}
    found = {}
    if _has_cluster(seen, outcomes):
        found["clusterName"] = seen.job["metadata"]["name"]
    if _has_runner(seen, outcomes):
        found["jobRunnerPodName"] = runner_name(seen.job)
    return found


def _times(seen: Observed, step: Progress, now: datetime) -> dict[str, Any]:
    known = seen.status
    if step.state == SUSPENDED:
        return {"startTime": None, "attemptTime": None}
    times = {}
    if step.state == CREATED and is_turn(seen, step):
        times["attemptTime"] = format_time(now)
    runner = seen.present(seen.runner)
    view = own_view(seen.job, runner) if runner is not None else None
    has_run = step.state in (RUNNING, *ENDED) or step.failed > int(known.get("failed") or 0)
    if has_run and not known.get("startTime"):
        times["startTime"] = format_time((started_at(view) if view else None) or now)
    if step.state in ENDED and not known.get("endTime"):
        times["endTime"] = format_time((ended_at(view) if view else None) or now)
    return times


def _conditions(seen: Observed, step: Progress, refused: list[Outcome], now: datetime) -> list[Manifest]:
    known = list(seen.status.get("conditions") or [])
    for type_, state, reason, message in (
        *_accepted(seen, step, refused),
        *_suspended(known, step),
        *_ended(seen, step),
    ):
        generation = seen.job["metadata"].get("generation")
        new = condition(type_, state, reason, message, generation=generation, now=now)
        known = set_condition(known, new, now)
    return known


Said = tuple[str, str, str, str]


def _accepted(seen: Observed, step: Progress, refused: list[Outcome]) -> list[Said]:
    if refused:
        return [("Accepted", "False", refused[0].reason, refused[0].message)]
    if seen.cooling or is_refused_for_good(seen.job) or seen.state in ENDED:
        return []
    return [("Accepted", "True", "Accepted", "The operator takes care of this job.")]


def _suspended(known: list[Manifest], step: Progress) -> list[Said]:
    """Say Suspended as Kubernetes' own Job does: only of jobs that are, or were."""
    if step.state == SUSPENDED:
        return [("Suspended", "True", step.reason, step.message)]
    if find(known, "Suspended") is not None:
        return [("Suspended", "False", "Resumed", "The job is not suspended.")]
    return []


def _ended(seen: Observed, step: Progress) -> list[Said]:
    """Say Complete or Failed, by the names that Kubernetes' own Job has for them."""
    if step.state not in ENDED or seen.state in ENDED:
        return []
    if step.state == SUCCESSFUL:
        return [("Complete", "True", step.reason, step.message)]
    return [
        ("Complete", "False", step.reason, step.message),
        ("Failed", "True", step.reason, step.message),
    ]


def _notes(seen: Observed, step: Progress, refused: list[Outcome]) -> tuple[Note, ...]:
    notes = []
    accepted = find(seen.status.get("conditions") or [], "Accepted") or {}
    if refused and accepted.get("reason") != refused[0].reason:
        notes.append(Note("Warning", refused[0].reason, refused[0].message))
    is_failure = step.failed > int(seen.status.get("failed") or 0) or step.state == "Failed"
    if (step.state, step.attempt) != (seen.state, seen.attempt) and step.state not in (CLUSTER_CREATED,):
        if seen.state or step.state != CREATED:
            notes.append(Note("Warning" if is_failure else "Normal", step.reason, step.message))
    return tuple(notes)
