"""DaskJob: what to do about one that has ended."""

from __future__ import annotations

from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import parse_time
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskjob.observe import SUCCESSFUL, Observed
from dask_gpu_k8s.operator.daskjob.runner import is_at_work
from dask_gpu_k8s.operator.engine.actions import Action, Plan, delete_of, patch_of
from dask_gpu_k8s.operator.objects.jobs import is_sidecar
from dask_gpu_k8s.operator.objects.metadata import make_owner_reference
from dask_gpu_k8s.operator.pods import has_started, is_finished, is_owned_by, is_terminating

CLUSTER, WORKERS = "Cluster", "Workers"


def plan_ending(seen: Observed, now: datetime) -> Plan:
    """Stop what still runs, take away what the policy says, and in the end the job itself."""
    wait = _time_to_live(seen, now)
    if wait is not None and wait <= 0:
        return Plan(((delete_of(DASKJOB, seen.job),),))
    policy = _policy(seen)
    stages = (_end_runner(seen, policy), _end_cluster(seen, policy))
    return Plan(tuple(tuple(stage) for stage in stages if stage), wait)


def _policy(seen: Observed) -> str:
    if is_sidecar(seen.job) and (seen.runner is None or is_finished(seen.runner)):
        return CLUSTER  # there is no scheduler left to look at
    rules = seen.job["spec"].get("deletionPolicy") or {}
    return str(rules.get("onSuccess" if seen.state == SUCCESSFUL else "onFailure") or CLUSTER)


def _time_to_live(seen: Observed, now: datetime) -> float | None:
    seconds, ended = seen.job["spec"].get("ttlSecondsAfterFinished"), seen.status.get("endTime")
    if seconds is None or not ended:
        return None
    return (parse_time(ended) + timedelta(seconds=seconds) - now).total_seconds()


def _end_runner(seen: Observed, policy: str) -> list[Action]:
    """End the runner's Pod without deleting it, for its log.

    Beside a scheduler it also has to change hands: it would go with the cluster.
    """
    pod = seen.runner
    if pod is None or is_terminating(pod):
        return []
    goes = policy == CLUSTER and is_sidecar(seen.job)
    patch: Manifest = {}
    if is_at_work(seen.job, pod) or (not is_finished(pod) and (goes or not is_sidecar(seen.job))):
        if not has_started(pod):
            return [delete_of(POD, pod)] if is_owned_by(pod, seen.job["metadata"]["uid"]) else []
        if pod["spec"].get("activeDeadlineSeconds") != 1:
            # Its node then ends the Pod as one that has run for too long.
            patch["spec"] = {"activeDeadlineSeconds": 1}
    if goes and not is_owned_by(pod, seen.job["metadata"]["uid"]):
        patch["metadata"] = {"ownerReferences": [make_owner_reference(seen.job, DASKJOB)]}
    return [patch_of(POD, pod, patch, unchanged=True)] if patch else []


def _end_cluster(seen: Observed, policy: str) -> list[Action]:
    cluster = seen.cluster
    if cluster is None or is_terminating(cluster):
        return []
    if policy == CLUSTER:
        return [delete_of(DASKCLUSTER, cluster)]
    if policy == WORKERS and not cluster["spec"].get("suspendWorkers"):
        return [patch_of(DASKCLUSTER, cluster, {"spec": {"suspendWorkers": True}}, unchanged=True)]
    return []
