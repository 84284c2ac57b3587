"""What the cache keeps of a Pod: of ten thousand workers, only what somebody reads."""

from __future__ import annotations

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest

WORKER_SPEC = ("nodeName", "hostNetwork")
"""Fields of a worker Pod's spec that planners read; what it was made from stands in its annotations."""


def trim(pod: Manifest) -> Manifest:
    """Drop what nobody reads: of a worker, nearly all of its spec, which is two thirds of it."""
    if (pod["metadata"].get("labels") or {}).get(labels.COMPONENT) != labels.WORKER:
        return pod
    spec = pod["spec"]
    return {**pod, "spec": {field: spec[field] for field in WORKER_SPEC if field in spec}}
