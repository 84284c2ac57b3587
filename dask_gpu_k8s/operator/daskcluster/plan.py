"""DaskCluster: what to do about it."""

from __future__ import annotations

from datetime import datetime

from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD, SERVICE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.observe import Observed, problem
from dask_gpu_k8s.operator.engine.actions import Action, Create, Delete, Patch, Plan, soonest
from dask_gpu_k8s.operator.engine.refusals import is_refused_for_good
from dask_gpu_k8s.operator.objects.scheduler import (
    make_cluster_ip_service,
    make_scheduler_pod,
    make_scheduler_service,
)
from dask_gpu_k8s.operator.objects.workers import make_default_group, replicas_of
from dask_gpu_k8s.operator.pods import is_finished, is_terminating, time_held


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a cluster now."""
    cluster = seen.cluster
    if is_terminating(cluster) or problem(cluster):
        return Plan()
    first, wait = _plan_ended_scheduler(seen, now)
    stages = [first, _plan_replicas(seen)]
    if seen.cooling:
        wait = soonest(wait, seen.cooling)
    elif not is_refused_for_good(cluster):
        stages = [first + _plan_missing(seen), _plan_replicas(seen) or _plan_group(seen)]
    return Plan(tuple(tuple(stage) for stage in stages if stage), wait)


def _plan_ended_scheduler(seen: Observed, now: datetime) -> tuple[list[Action], float | None]:
    """Clear away a scheduler Pod that has ended, and say when to look again."""
    pod = seen.scheduler
    if pod is None or not seen.is_own(pod) or is_terminating(pod) or not is_finished(pod):
        return [], None
    wait = time_held(pod, now)
    if wait > 0:
        return [], wait
    meta = pod["metadata"]
    return [Delete(POD, meta["namespace"], meta["name"], meta["uid"])], None


def _plan_missing(seen: Observed) -> list[Action]:
    """Make what is not there of the scheduler; in this order, because it is the one everybody waits for."""
    cluster = seen.cluster
    actions: list[Action] = []
    if seen.default_group is None and _passed(cluster) != replicas_of(cluster):
        actions.append(_remember(cluster))
    if seen.scheduler is None:
        actions.append(Create(POD, make_scheduler_pod(cluster)))
    if seen.service is None:
        actions.append(Create(SERVICE, make_scheduler_service(cluster)))
    if seen.cluster_ip_service is None:
        actions.append(Create(SERVICE, make_cluster_ip_service(cluster)))
    return actions


def _plan_group(seen: Observed) -> list[Action]:
    if seen.default_group is not None:
        return []
    return [Create(DASKWORKERGROUP, make_default_group(seen.cluster))]


def _plan_replicas(seen: Observed) -> list[Action]:
    """Pass an edit of the cluster's replicas on to the default group.

    What was passed last is remembered in the status, which is written before the group is made and
    after it is patched: so scaling the group itself is never taken for an edit of the cluster, nor the
    other way round.
    """
    cluster, group = seen.cluster, seen.default_group
    if group is None or not seen.is_own(group) or is_terminating(group):
        return []
    if _passed(cluster) == replicas_of(cluster):
        return []
    if group["spec"]["worker"].get("replicas") == replicas_of(cluster):
        return [_remember(cluster)]
    meta = group["metadata"]
    patch = {"spec": {"worker": {"replicas": replicas_of(cluster)}}}
    return [Patch(DASKWORKERGROUP, meta["namespace"], meta["name"], patch)]


def _passed(cluster: Manifest) -> int | None:
    value = (cluster.get("status") or {}).get("defaultGroupReplicas")
    return None if value is None else int(value)


def _remember(cluster: Manifest) -> Patch:
    meta = cluster["metadata"]
    status: Manifest = {"defaultGroupReplicas": replicas_of(cluster)}
    if not (cluster.get("status") or {}).get("phase"):
        status["phase"] = "Created"
    return Patch(DASKCLUSTER, meta["namespace"], meta["name"], {"status": status}, "status")
