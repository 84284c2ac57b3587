"""What the cache keeps of a Pod: of ten thousand workers, only what somebody reads."""

from __future__ import annotations

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest

WORKER_SPEC = ("nodeName", "hostNetwork", "restartPolicy", "terminationGracePeriodSeconds")
"""Fields of a worker Pod's spec that planners read; what it was made from stands in its annotations."""

CONTAINERS = ("initContainers", "containers")
CONTAINER = ("name", "resources")
"""Of its containers, what it takes to say that one needed more memory than it may have."""


def trim(pod: Manifest) -> Manifest:
    """Drop what nobody reads: of a worker, nearly all of its spec, which is two thirds of it."""
    if (pod["metadata"].get("labels") or {}).get(labels.COMPONENT) != labels.WORKER:
        return pod
    spec = pod["spec"]
    kept = _only(spec, WORKER_SPEC)
    for field in CONTAINERS:
        if field in spec:
            kept[field] = [_only(container, CONTAINER) for container in spec[field]]
    return {**pod, "spec": kept}


def _only(obj: Manifest, fields: tuple[str, ...]) -> Manifest:
    return {field: obj[field] for field in fields if field in obj}
