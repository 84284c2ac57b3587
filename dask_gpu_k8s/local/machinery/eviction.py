"""The eviction subresource of Pods: a deletion that says on the Pod what it is."""

from __future__ import annotations

from datetime import datetime

from dask_gpu_k8s.api.conditions import set_condition
from dask_gpu_k8s.api.types import Manifest

DISRUPTION = {
    "type": "DisruptionTarget",
    "status": "True",
    "lastProbeTime": None,
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


def evicted(pod: Manifest, now: datetime) -> Manifest:
    """Return a Pod with the condition that it is about to be evicted."""
    status = pod["status"]
    return {
        **pod,
        "status": {**status, "conditions": set_condition(status.get("conditions"), DISRUPTION, now)},
    }
