"""Until when a cluster lives that a client has to renew."""

from __future__ import annotations

from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import parse_time
from dask_gpu_k8s.api.types import Manifest


def ttl_of(cluster: Manifest) -> int:
    """Return for how many seconds a cluster outlives its last renewal; 0 means for ever."""
    return int(cluster["spec"].get("ttl") or 0)


def lives_until(cluster: Manifest, lease: Manifest | None) -> datetime:
    """Return when a cluster's time is up, by its creation and the client's Lease."""
    begun = parse_time(cluster["metadata"]["creationTimestamp"])
    renewed = ((lease or {}).get("spec") or {}).get("renewTime")
    last = max(begun, parse_time(renewed)) if renewed else begun
    return last + timedelta(seconds=ttl_of(cluster))
