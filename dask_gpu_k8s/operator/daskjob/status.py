"""DaskJob: what is said of it after acting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.conditions import condition, format_time, set_condition
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskjob.observe import CREATED, ENDED, RUNNING, SUCCESSFUL, Observed, state_of
from dask_gpu_k8s.operator.engine.actions import Conclusion, Note, Outcome, Plan, refusals, soonest
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED, is_refused_for_good
from dask_gpu_k8s.operator.pods import ended_at, is_terminating, started_at


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say how far a job is."""
    if is_terminating(seen.job):
        return None
    name = seen.job["metadata"]["name"]
    refused = refusals(outcomes)
    state = state_of(seen, created=bool(outcomes) and all(outcome.state == "done" for outcome in outcomes))
    status: dict[str, Any] = {
        "jobStatus": state,
        "observedGeneration": seen.job["metadata"].get("generation"),
        "conditions": _conditions(seen, state, refused, now),
    }
    if state not in ("", CREATED):
        status["clusterName"] = name
        status["jobRunnerPodName"] = names.job_runner(name)
    status.update(_times(seen, state, now))
    wait = RETRY_REFUSED if refused else None
    return Conclusion(status, _notes(seen, state, refused), soonest(plan.wake_after, wait))


def _times(seen: Observed, state: str, now: datetime) -> dict[str, str]:
    known = seen.job.get("status") or {}
    times = {}
    if state in (RUNNING, *ENDED) and not known.get("startTime"):
        times["startTime"] = format_time((started_at(seen.runner) if seen.runner else None) or now)
    if state in ENDED and not known.get("endTime"):
        times["endTime"] = format_time((ended_at(seen.runner) if seen.runner else None) or now)
    return times


def _conditions(seen: Observed, state: str, refused: list[Outcome], now: datetime) -> list[Manifest]:
    known = (seen.job.get("status") or {}).get("conditions") or []
    generation = seen.job["metadata"].get("generation")
    if refused:
        found = ("False", refused[0].reason, refused[0].message)
    elif seen.cooling or is_refused_for_good(seen.job):
        return list(known)
    else:
        found = ("True", "Accepted", "The operator takes care of this job.")
    new = condition("Accepted", *found, generation=generation, now=now)
    known = set_condition(known, new, now)
    if state in ENDED and seen.state not in ENDED:
        ended = condition("Complete", *_end(seen, state), generation=generation, now=now)
        known = set_condition(known, ended, now)
    return known


def _end(seen: Observed, state: str) -> tuple[str, str, str]:
    if state == SUCCESSFUL:
        return "True", "Succeeded", "The runner Pod has ended well."
    if seen.runner is None:
        return "False", "RunnerLost", "The runner Pod has vanished while it was running."
    return "False", "RunnerFailed", "The runner Pod has failed."


def _notes(seen: Observed, state: str, refused: list[Outcome]) -> tuple[Note, ...]:
    notes = [Note("Warning", outcome.reason, outcome.message) for outcome in refused[:1]]
    if state in ENDED and seen.state not in ENDED:
        _, reason, message = _end(seen, state)
        notes.append(Note("Normal" if state == SUCCESSFUL else "Warning", reason, message))
    return tuple(notes)
