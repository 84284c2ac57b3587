"""Small resources for planner tests; what a test does not say is as in a settled, healthy cluster."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, WorkerFacts
from dask_gpu_k8s.operator.objects.jobs import make_job_cluster, make_runner_pod
from dask_gpu_k8s.operator.objects.protection import make_scheduler_budget
from dask_gpu_k8s.operator.objects.scheduler import (
    make_cluster_ip_service,
    make_scheduler_pod,
    make_scheduler_service,
)
from dask_gpu_k8s.operator.objects.workers import make_default_group, make_worker_pod
from dask_gpu_k8s.operator.workergroup.observe import Observed
from dask_gpu_k8s.operator.workergroup.victims import match

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
OLD = "2026-01-31T11:00:00Z"
PORTS = [
    {"name": "tcp-comm", "port": 8786, "protocol": "TCP", "targetPort": "tcp-comm"},
    {"name": "http-dashboard", "port": 8787, "protocol": "TCP", "targetPort": "http-dashboard"},
]


def a_cluster(replicas: int = 2, /, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {
            "name": "foo",
            "namespace": "ns",
            "uid": "u-cluster",
            "generation": 3,
            "resourceVersion": "9",
        },
        "spec": {
            "worker": {
                "replicas": replicas,
                "spec": {"containers": [{"name": "worker", "image": "i", "args": ["dask", "worker"]}]},
            },
            "scheduler": {
                "spec": {"containers": [{"name": "scheduler", "image": "i", "args": ["dask", "scheduler"]}]},
                "service": {"ports": PORTS},
            },
        },
        "status": status,
    }


def stored(made: dict[str, Any], uid: str, **status: Any) -> dict[str, Any]:
    """Return an object as the API server would hold it."""
    metadata = {
        **made["metadata"],
        "uid": uid,
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": OLD,
    }
    return {**made, "metadata": metadata, "status": status}


def a_group(replicas: int = 2, cluster: dict[str, Any] | None = None, /, **status: Any) -> dict[str, Any]:
    group = stored(make_default_group(cluster or a_cluster()), "u-group", **status)
    return {**group, "spec": {**group["spec"], "worker": {**group["spec"]["worker"], "replicas": replicas}}}


def a_worker(
    index: int,
    *,
    state: str = "running",
    marked: str = "",
    deleted: bool = False,
    created: str = OLD,
    ended: str = "",
) -> dict[str, Any]:
    """Make a worker Pod.

    `state` is one of unscheduled, scheduled (its container never ran), running (and ready), Failed and
    Succeeded.
    """
    pod = stored(make_worker_pod(a_cluster(), a_group(), index), f"u-{index}")
    meta = {**pod["metadata"], "creationTimestamp": created}
    if marked:
        meta["annotations"] = {**meta["annotations"], labels.RETIRE: marked}
    if deleted:
        meta["deletionTimestamp"] = OLD
    spec = pod["spec"] if state == "unscheduled" else {**pod["spec"], "nodeName": "n"}
    return {**pod, "metadata": meta, "spec": spec, "status": _status(index, state, created, ended)}


def noted(pod: dict[str, Any], **conditions: str | dict[str, Any]) -> dict[str, Any]:
    """Return a Pod with these conditions instead of its own, each a status or more than that."""
    made = [
        {"type": type_, **({"status": said} if isinstance(said, str) else said)}
        for type_, said in conditions.items()
    ]
    return {**pod, "status": {**pod["status"], "conditions": made}}


def annotated(pod: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """Return a Pod with more annotations of ours, e.g. ``template="old"``."""
    ours = {f"kubernetes.dask.org/{name}": value for name, value in annotations.items()}
    meta = pod["metadata"]
    return {**pod, "metadata": {**meta, "annotations": {**meta["annotations"], **ours}}}


def outdated(index: int, **more: Any) -> dict[str, Any]:
    """Make a worker Pod from an earlier template."""
    return annotated(a_worker(index, **more), template="an-earlier-one")


def unready(pod: dict[str, Any]) -> dict[str, Any]:
    """Return a Pod that runs and is not ready."""
    return noted(pod, Ready={"status": "False", "reason": "ContainersNotReady"})


def _status(index: int, state: str, created: str, ended: str) -> dict[str, Any]:
    if state == "unscheduled":
        return {"phase": "Pending"}
    if state == "scheduled":
        return {"phase": "Pending", "containerStatuses": [{"name": "worker", "state": {"waiting": {}}}]}
    status = {"podIP": f"10.0.0.{index + 1}", "phase": "Running" if state == "running" else state}
    if state == "running":
        status["conditions"] = [{"type": "Ready", "status": "True"}]
        status["containerStatuses"] = [{"name": "worker", "state": {"running": {"startedAt": created}}}]
    else:
        status["containerStatuses"] = [{"name": "worker", "state": {"terminated": {"finishedAt": ended}}}]
    return status


def name_of(index: int) -> str:
    return names.worker_pod("foo-default", "u-group", index)


def facts(
    index: int, *, nbytes: int = 0, tasks: int = 0, running: bool = True, name: str | None = None
) -> dict[str, WorkerFacts]:
    """Return what the scheduler says of the worker in the `index`-th Pod."""
    host = f"10.0.0.{index + 1}"
    return {f"tcp://{host}:40000": WorkerFacts(name or name_of(index), host, nbytes, tasks, running)}


SCHEDULER = SchedulerAt("ns", "foo", "foo-scheduler", "u-scheduler", "10.0.1.1", 8786, 8786)


def a_view(
    pods: list[dict[str, Any]],
    replicas: int = 2,
    *,
    workers: dict[str, WorkerFacts] | None = None,
    **changes: Any,
) -> Observed:
    """Return what `observe` would see of a group."""
    fields: dict[str, Any] = {
        "group": a_group(replicas, counter=10),
        "cluster": a_cluster(),
        "candidates": tuple(match(pods, workers or {})),
        "scheduler": SCHEDULER,
        "workers": workers,
    }
    return Observed(**{**fields, **changes})


def parts_of(cluster: dict[str, Any], *, ready: bool = True) -> dict[str, Any]:
    """Return the parts of a complete cluster, by their field in `daskcluster.Observed`."""
    status = {"conditions": [{"type": "Ready", "status": str(ready)}], "phase": "Running"}
    group = stored(
        make_default_group(cluster),
        "u-group",
        desiredReplicas=2,
        readyReplicas=2,
        replicas=2,
        selector="a=b",
        observedGeneration=1,
    )
    return {
        "scheduler": stored(make_scheduler_pod(cluster), "u-scheduler", **status),
        "service": stored(make_scheduler_service(cluster), "u-service"),
        "cluster_ip_service": stored(make_cluster_ip_service(cluster), "u-ip"),
        "default_group": group,
        "groups": [group],
        "budget": stored(make_scheduler_budget(cluster), "u-budget"),
    }


def a_job(**status: Any) -> dict[str, Any]:
    spec = a_cluster()["spec"]
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {"name": "foo", "namespace": "ns", "uid": "u-job", "generation": 1},
        "spec": {
            "cluster": {"spec": spec},
            "job": {"spec": {"containers": [{"name": "job", "image": "i", "command": ["python"]}]}},
        },
        "status": status,
    }


def a_job_cluster(job: dict[str, Any]) -> dict[str, Any]:
    return stored(make_job_cluster(job), "u-cluster")


def a_runner(job: dict[str, Any], phase: str, **container: Any) -> dict[str, Any]:
    statuses = [{"name": "job", "state": container}] if container else []
    return stored(make_runner_pod(job), "u-runner", phase=phase, containerStatuses=statuses)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
