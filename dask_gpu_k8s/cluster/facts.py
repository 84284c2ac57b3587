"""What an existing DaskCluster says about itself, in KubeCluster's own words. Pure."""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.roles import read_options

NAME_ARGS = ["--name", "$(DASK_WORKER_NAME)"]

OWN = ("name", "image", "imagePullPolicy", "command", "args", "env", "resources")
"""What of a Dask container comes from arguments, and not from the options of its role."""

_OF_SCHEDULERS = ("ports", "startupProbe", "readinessProbe", "livenessProbe")


def dask_container(worker: Manifest) -> Manifest:
    """Find the container that runs the worker: the one of that name, else the first."""
    containers: list[Manifest] = worker["spec"]["containers"]
    return next((each for each in containers if each.get("name") == "worker"), containers[0])


def facts(cluster: Manifest) -> dict[str, Any]:
    """Read a DaskCluster, whoever made it.

    Returns
    -------
    dict
        By argument: `make_cluster_spec` makes the same DaskCluster of them again, if it made this one.
    """
    spec = cluster["spec"]
    worker, scheduler = spec["worker"], spec["scheduler"]
    container = dask_container(worker)
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    if words[-2:] == NAME_ARGS:
        words = words[:-2]
    first = scheduler["spec"]["containers"][0]
    scheduler_words = [*(first.get("command") or ()), *(first.get("args") or ())]
    return {
        "image": container.get("image"),
        "n_workers": worker.get("replicas", 1),
        "resources": container.get("resources") or {},
        "env": container.get("env") or [],
        "worker_command": words,
        "jupyter": "--jupyter" in scheduler_words,
        "scheduler_service_type": (scheduler.get("service") or {}).get("type", "ClusterIP"),
        "worker_options": read_options(worker, container, OWN),
        "scheduler_options": read_options(scheduler, first, (*OWN, *_OF_SCHEDULERS)),
        "scheduler_resources": first.get("resources") or {},
        "idle_timeout": spec.get("idleTimeout") or 0,
        "ttl": spec.get("ttl") or 0,
    }
