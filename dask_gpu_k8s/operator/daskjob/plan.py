"""DaskJob: what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.scheduler import plan_force
from dask_gpu_k8s.operator.daskjob.ending import plan_ending
from dask_gpu_k8s.operator.daskjob.observe import ENDED, SUSPENDED, Observed
from dask_gpu_k8s.operator.daskjob.progress import deadlines, is_turn, progress
from dask_gpu_k8s.operator.engine.actions import Action, Create, Plan, delete_of, soonest
from dask_gpu_k8s.operator.objects.jobs import is_sidecar, make_job_cluster, make_runner_pod
from dask_gpu_k8s.operator.pods import is_owned_by, is_terminating

RETRY = 1.0
"""Seconds until the cache is looked at again: for what earlier owners have left, or a later view."""


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a job now.

    Whatever turns it (its end, a failed attempt, suspension) is written down in one run and acted upon
    in the next, so that nothing is forgotten if the operator stops in between.
    """
    stuck = _plan_stuck(seen, now)
    if is_terminating(seen.job):
        # A finalizer of somebody else may keep the job, and with it the collector from its parts.
        return _stage(_delete(seen, seen.parts) + list(stuck.actions), stuck.wake_after)
    if seen.is_stale:
        return Plan(wake_after=RETRY)
    if left := seen.time_left_to_another(now):
        return Plan(wake_after=left)
    if seen.state in ENDED:
        return plan_ending(seen, now)
    if is_turn(seen, progress(seen, now)):
        return Plan()
    wait = soonest(_until_deadline(seen, now), stuck.wake_after)
    if stuck.stages:
        return Plan(stuck.stages, wait)
    going = seen.parts if seen.state == SUSPENDED else seen.outdated
    if going or seen.state == SUSPENDED:
        return _stage(_delete(seen, going), wait)
    return _plan_missing(seen, wait)


def _until_deadline(seen: Observed, now: datetime) -> float | None:
    waits = ((each.at - now).total_seconds() for each in deadlines(seen))
    return min((wait for wait in waits if wait > 0), default=None)


def _plan_stuck(seen: Observed, now: datetime) -> Plan:
    """Delete by force the Pods that a lost node does not end: nothing else frees their names."""
    pods = [each for each in (seen.runner, *seen.in_the_way) if each is not None and each["kind"] == POD.kind]
    plans = [plan_force(pod, now) for pod in pods if is_terminating(pod)]
    actions = [action for stages, _ in plans for stage in stages for action in stage]
    return _stage(actions, soonest(*(wait for _, wait in plans)))


def _plan_missing(seen: Observed, wait: float | None) -> Plan:
    stages: list[tuple[Action, ...]] = []
    if seen.cluster is None:
        stages.append((Create(DASKCLUSTER, make_job_cluster(seen.job)),))
    if seen.runner is None and not is_sidecar(seen.job):
        stages.append((Create(POD, make_runner_pod(seen.job)),))
    if stages and seen.in_the_way:
        return Plan(wake_after=soonest(wait, RETRY))
    if stages and seen.cooling:
        return Plan(wake_after=soonest(wait, seen.cooling))
    return Plan(tuple(stages), wait)


def _delete(seen: Observed, parts: Iterable[Manifest]) -> list[Action]:
    """Delete parts; a runner beside the scheduler goes with the cluster, which would make it again."""
    job = seen.job["metadata"]["uid"]
    actions: list[Action] = []
    for part in parts:
        if not is_terminating(part) and is_owned_by(part, job):
            resource = DASKCLUSTER if part is seen.cluster else POD
            actions.append(delete_of(resource, part))
    return actions


def _stage(actions: list[Action], wait: float | None = None) -> Plan:
    return Plan((tuple(actions),) if actions else (), wait)
