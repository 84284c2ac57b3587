"""DaskJob: what to do about it."""

from __future__ import annotations

from datetime import datetime

from dask_gpu_k8s.api.resources import DASKCLUSTER, POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskjob.observe import ENDED, Observed, state_of
from dask_gpu_k8s.operator.engine.actions import Action, Create, Delete, Plan
from dask_gpu_k8s.operator.engine.refusals import is_refused_for_good
from dask_gpu_k8s.operator.objects.jobs import make_job_cluster, make_runner_pod
from dask_gpu_k8s.operator.pods import is_terminating


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
    if not seen.state or state_of(seen) in ENDED or is_refused_for_good(seen.job):
        return Plan()
    if seen.cooling:
        return Plan(wake_after=seen.cooling)
    stages: list[tuple[Action, ...]] = []
    if seen.cluster is None:
        stages.append((Create(DASKCLUSTER, make_job_cluster(seen.job)),))
    if seen.runner is None:
        stages.append((Create(POD, make_runner_pod(seen.job)),))
    return Plan(tuple(stages))


def _delete(resource: Resource, child: Manifest | None) -> list[Action]:
    if child is None or is_terminating(child):
        return []
    meta = child["metadata"]
    return [Delete(resource, meta["namespace"], meta["name"], meta["uid"])]


def _stage(actions: list[Action]) -> Plan:
    return Plan((tuple(actions),) if actions else ())
