"""DaskJob: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.conditions import format_time, told
from dask_gpu_k8s.operator.daskjob.conditions import conditions
from dask_gpu_k8s.operator.daskjob.making import explained, has_cluster, has_runner
from dask_gpu_k8s.operator.daskjob.observe import (
    CLUSTER_CREATED,
    CREATED,
    ENDED,
    FAILED,
    RUNNING,
    SUSPENDED,
    Observed,
)
from dask_gpu_k8s.operator.daskjob.progress import Progress, is_turn, progress
from dask_gpu_k8s.operator.daskjob.runner import own_view
from dask_gpu_k8s.operator.engine.actions import Conclusion, Note, Outcome, Plan, refusals, soonest
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED, reason_of
from dask_gpu_k8s.operator.objects.jobs import runner_name
from dask_gpu_k8s.operator.pods import ended_at, is_terminating, started_at


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say how far a job is; nothing of one that is going, or that is seen as it once was."""
    if is_terminating(seen.job) or seen.is_stale or seen.time_left_to_another(now):
        return None
    refused = refusals(outcomes)
    step = explained(seen, progress(seen, now), outcomes)
    status: dict[str, Any] = {
        "jobStatus": step.state,
        "reason": step.reason,
        "message": step.message,
        "attempt": step.attempt,
        "failed": step.failed,
        "observedGeneration": seen.job["metadata"].get("generation"),
        "conditions": conditions(seen, step, refused, now),
        **_names(seen, step, outcomes),
        **_times(seen, step, now),
    }
    wait = RETRY_REFUSED if refused else None
    version = seen.job["metadata"].get("resourceVersion")
    return Conclusion(status, _notes(seen, step, refused), soonest(plan.wake_after, wait), version)


def _names(seen: Observed, step: Progress, outcomes: list[Outcome]) -> dict[str, Any]:
    """Name what exists. What has existed stays named, unless suspension takes it away."""
    if step.state == SUSPENDED:
        return {"clusterName": None, "jobRunnerPodName": None}
    found = {}
    if has_cluster(seen, outcomes):
        found["clusterName"] = seen.job["metadata"]["name"]
    if has_runner(seen, outcomes):
        found["jobRunnerPodName"] = runner_name(seen.job)
    return found


def _times(seen: Observed, step: Progress, now: datetime) -> dict[str, Any]:
    """Say when things happened. The start is that of the first attempt, as the deadline counts from it."""
    if step.state == SUSPENDED:
        return {"startTime": None, "attemptTime": None}
    times = {}
    if step.state == CREATED and is_turn(seen, step):
        times["attemptTime"] = format_time(now)
    runner = seen.present(seen.runner)
    view = own_view(seen.job, runner) if runner is not None else None
    has_run = step.state in (RUNNING, *ENDED) or _has_failed_again(seen, step)
    if has_run and not seen.status.get("startTime"):
        times["startTime"] = format_time((started_at(view) if view else None) or now)
    if step.state in ENDED and not seen.status.get("endTime"):
        times["endTime"] = format_time((ended_at(view) if view else None) or now)
    return times


def _has_failed_again(seen: Observed, step: Progress) -> bool:
    return step.failed > int(seen.status.get("failed") or 0)


def _notes(seen: Observed, step: Progress, refused: list[Outcome]) -> tuple[Note, ...]:
    """Tell transitions: something refused for the first time, and each step that people wait for."""
    notes = []
    if refused and told(seen.job, "Accepted").get("reason") != reason_of(refused[0]):
        notes.append(Note("Warning", reason_of(refused[0]), refused[0].message))
    is_new = (step.state, step.attempt) != (seen.state, seen.attempt)
    is_first = not seen.state and step.state == CREATED
    if is_new and not is_first and step.state != CLUSTER_CREATED:
        is_bad = step.state == FAILED or _has_failed_again(seen, step)
        notes.append(Note("Warning" if is_bad else "Normal", step.reason, step.message))
    return tuple(notes)
