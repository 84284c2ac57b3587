"""By what dask-kubernetes' operator is known to look after a resource.

It runs on kopf, which notes on each resource what it has handled, and puts a finalizer on those that have
timers: on every DaskCluster and DaskAutoscaler (seen in 2026.3.0).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import holds, parse_time
from dask_gpu_k8s.api.types import Manifest

FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"
PREFIX = "kopf.zalando.org/"

PATIENCE = timedelta(seconds=5)
"""How long a new cluster is left to the other operator, where that has been seen, to put its mark on it."""


def is_marked(obj: Manifest) -> bool:
    """Say whether dask-kubernetes' operator has dealt with an object."""
    meta = obj["metadata"]
    return FINALIZER in (meta.get("finalizers") or ()) or any(
        key.startswith(PREFIX) for key in meta.get("annotations") or ()
    )


def is_foreign(obj: Manifest) -> bool:
    """Say whether it looks after a DaskCluster or DaskJob, and we have not done so before it came."""
    return is_marked(obj) and not is_ours(obj)


def is_ours(obj: Manifest) -> bool:
    """Say whether we have ever taken care of an object: the other operator writes no conditions."""
    return holds((obj.get("status") or {}).get("conditions"), "Accepted")


def is_to_be_adopted(obj: Manifest) -> bool:
    """Say whether a person wants us to take an object over."""
    return (obj["metadata"].get("annotations") or {}).get(labels.ADOPT) == "true"


def is_new(obj: Manifest) -> bool:
    """Say whether nobody has said anything of an object yet."""
    return not obj.get("status")


def time_left_to_it(cluster: Manifest, now: datetime) -> float:
    """Return for how many seconds a new cluster is still left to the other operator."""
    created = parse_time(cluster["metadata"]["creationTimestamp"])
    return max(0.0, (created + PATIENCE - now).total_seconds())


def without_marks(obj: Manifest) -> dict[str, Any]:
    """Return the patch of an object's metadata that takes the marks off."""
    meta = obj["metadata"]
    patch: dict[str, Any] = {}
    marks = [key for key in meta.get("annotations") or () if key.startswith(PREFIX)]
    if marks:
        patch["annotations"] = {key: None for key in marks}
    if FINALIZER in (meta.get("finalizers") or ()):
        patch["finalizers"] = [name for name in meta["finalizers"] if name != FINALIZER]
    return {"metadata": patch}
