"""DaskJob: a cluster and a Pod that uses it; the cluster goes when the Pod has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.conditions import condition, format_time, set_condition
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.actions import (
    Action,
    Conclusion,
    Create,
    Delete,
    Note,
    Outcome,
    Plan,
    refusals,
    soonest,
)
from dask_gpu_k8s.operator.facts import Key, World
from dask_gpu_k8s.operator.objects import make_job_cluster, make_runner_pod
from dask_gpu_k8s.operator.pods import (
    ended_at,
    is_owned_by,
    is_terminating,
    started_at,
)
from dask_gpu_k8s.operator.refusals import RETRY_REFUSED, is_refused_for_good

CREATED, CLUSTER_CREATED, RUNNING = "JobCreated", "ClusterCreated", "Running"
SUCCESSFUL, FAILED = "Successful", "Failed"
ENDED = (SUCCESSFUL, FAILED)


@dataclass(frozen=True)
class Observed:
    """A job and its two parts, each only if it belongs to this very job."""

    job: Manifest
    cluster: Manifest | None = None
    runner: Manifest | None = None
    cooling: float = 0.0

    @property
    def state(self) -> str:
        """What its status says so far; empty for a new job."""
        return str((self.job.get("status") or {}).get("jobStatus") or "")


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a job and its parts."""
    job = world.cache.get(DASKJOB, key.namespace, key.name)
    if job is None:
        return None
    cluster = world.cache.get(DASKCLUSTER, key.namespace, key.name)
    runner = world.cache.get(POD, key.namespace, names.job_runner(key.name))
    uid = job["metadata"]["uid"]
    return Observed(
        job,
        cluster if cluster and is_owned_by(cluster, uid) else None,
        runner if runner and is_owned_by(runner, uid) else None,
        world.cooling(key, job),
    )


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a job now.

    The first run only writes that there is a job; and what has ended is written down before anything
    is taken away, so that nothing is forgotten if the operator stops in between.
    """
    if is_terminating(seen.job):
        # A finalizer of somebody else may keep the job, and with it the collector from its parts.
        return _stage(_delete(DASKCLUSTER, seen.cluster) + _delete(POD, seen.runner))
    if seen.state in ENDED:
        return _stage(_delete(DASKCLUSTER, seen.cluster))
    if not seen.state or _state(seen) in ENDED or is_refused_for_good(seen.job):
        return Plan()
    if seen.cooling:
        return Plan(wake_after=seen.cooling)
    stages: list[tuple[Action, ...]] = []
    if seen.cluster is None:
        stages.append((Create(DASKCLUSTER, make_job_cluster(seen.job)),))
    if seen.runner is None:
        stages.append((Create(POD, make_runner_pod(seen.job)),))
    return Plan(tuple(stages))


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say how far a job is."""
    if is_terminating(seen.job):
        return None
    name = seen.job["metadata"]["name"]
    refused = refusals(outcomes)
    state = _state(seen, created=bool(outcomes) and all(outcome.state == "done" for outcome in outcomes))
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


def _state(seen: Observed, *, created: bool = False) -> str:
    """Return the state that follows from what there is; a job that has ended stays so."""
    if seen.state in ENDED:
        return seen.state
    if not seen.state:
        return CREATED
    if seen.runner is None:
        if seen.state == RUNNING:
            return FAILED
        return CLUSTER_CREATED if created else seen.state
    phase = (seen.runner.get("status") or {}).get("phase")
    by_phase = {"Succeeded": SUCCESSFUL, "Failed": FAILED, "Running": RUNNING}
    return by_phase.get(phase or "", RUNNING if seen.state == RUNNING else CLUSTER_CREATED)


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


def _delete(resource: Resource, child: Manifest | None) -> list[Action]:
    if child is None or is_terminating(child):
        return []
    meta = child["metadata"]
    return [Delete(resource, meta["namespace"], meta["name"], meta["uid"])]


def _stage(actions: list[Action]) -> Plan:
    return Plan((tuple(actions),) if actions else ())
