"""The Pod of a cluster's scheduler, also where it was taken over and has another name than ours."""

from __future__ import annotations

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import Cache
from dask_gpu_k8s.operator.pods import is_owned_by, is_terminating


def scheduler_pod(cluster: Manifest, cache: Cache) -> Manifest | None:
    """Find a cluster's scheduler by its name, else by owner and label; else whoever has its name."""
    meta = cluster["metadata"]
    named = cache.get(POD, meta["namespace"], names.scheduler(meta["name"]))
    if named is not None and is_owned_by(named, meta["uid"]):
        return named
    others = [
        pod
        for pod in cache.owned(POD, meta["namespace"], meta["uid"])
        if (pod["metadata"].get("labels") or {}).get(labels.COMPONENT) == labels.SCHEDULER
    ]
    return min(others, key=is_terminating, default=named)
