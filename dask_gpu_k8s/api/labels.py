"""Label and annotation keys, and one selector per relation between resources."""

from __future__ import annotations

CLUSTER_NAME = "dask.org/cluster-name"
WORKERGROUP_NAME = "dask.org/workergroup-name"
COMPONENT = "dask.org/component"

SCHEDULER = "scheduler"
WORKER = "worker"
WORKERGROUP = "workergroup"
JOB_RUNNER = "job-runner"
OPERATOR = "operator"

PREFIX = "dask.org/"
"""Begins the labels by which the operator, clients and people find what belongs together."""
OWN = "kubernetes.dask.org/"
"""Begins the annotations with which the operator remembers something about the object itself."""

RETIRE = "kubernetes.dask.org/retire"
"""Annotation on a worker Pod that is to go; its value says why. Such a Pod is never counted again."""

ADOPT = "kubernetes.dask.org/adopt"
"""Annotation by which a person lets a cluster of dask-kubernetes' operator be taken over; it says "true"."""

TEMPLATE = "kubernetes.dask.org/template"
"""Annotation on what was made from a template: a mark that differs when the template does."""
JOB_ATTEMPT = "dask.org/job-attempt"
"""Annotation on all that is made of a DaskJob: which of its attempts it belongs to, counted from 0."""
JOB_SIDECAR = "kubernetes.dask.org/job-sidecar"
"""Annotation on the DaskCluster of a DaskJob whose runner is in the scheduler's Pod."""
WORKER_COMMAND = "dask.org/worker-command"
"""Annotation on a DaskJob: the words that its workers' command begins with, in place of `dask worker`."""

RENEW = "kubernetes.dask.org/renew-certificates"
"""Annotation on a secured DaskCluster; each new value makes the operator renew its certificates once."""

FROZEN = "kubernetes.dask.org/frozen-"
"""Begins annotations on a DaskCluster whose workers somebody keeps as they are; see `api.holds`."""

FAILURES = "kubernetes.dask.org/failures"
"""Annotation on a worker Pod: how many in a row ended badly before it, each in the place of the last."""

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""Annotation by which Kubernetes' cluster autoscaler knows whether a Pod may go with its node."""


def of_cluster(cluster: str) -> dict[str, str]:
    """Labels that everything of a cluster carries."""
    return {CLUSTER_NAME: cluster}


def of_scheduler(cluster: str) -> dict[str, str]:
    """Labels of a cluster's scheduler Pod and Services."""
    return {CLUSTER_NAME: cluster, COMPONENT: SCHEDULER}


def of_worker_group(cluster: str) -> dict[str, str]:
    """Labels of a cluster's DaskWorkerGroups."""
    return {CLUSTER_NAME: cluster, COMPONENT: WORKERGROUP}


def of_workers(cluster: str, group: str) -> dict[str, str]:
    """Labels of the worker Pods of one DaskWorkerGroup (`group` is its full name)."""
    return {CLUSTER_NAME: cluster, WORKERGROUP_NAME: group, COMPONENT: WORKER}


def of_all_workers(cluster: str) -> dict[str, str]:
    """Labels of the worker Pods of all groups of a cluster."""
    return {CLUSTER_NAME: cluster, COMPONENT: WORKER}


def of_job_runner(cluster: str) -> dict[str, str]:
    """Labels of a DaskJob's runner Pod."""
    return {CLUSTER_NAME: cluster, COMPONENT: JOB_RUNNER}


def of_operator() -> dict[str, str]:
    """Labels by which the operator's own Pods are let through where a cluster is closed to others."""
    return {COMPONENT: OPERATOR}


def selector(labels: dict[str, str]) -> str:
    """Write labels as a label selector."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
