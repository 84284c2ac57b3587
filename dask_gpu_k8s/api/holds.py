"""Holds: annotations on a DaskCluster by which somebody keeps its workers as they are, for a while.

Each holder has one of its own, ``kubernetes.dask.org/frozen-<holder>``, whose value is a time. A holder that
is alive moves it on; one that died is forgotten when it is over. In the spec it would be undone by whoever
applies a manifest again.
"""

from __future__ import annotations

from datetime import datetime

from dask_gpu_k8s.api.conditions import format_time, parse_time
from dask_gpu_k8s.api.labels import FROZEN
from dask_gpu_k8s.api.types import Manifest


def holds(cluster: Manifest, now: datetime) -> dict[str, datetime]:
    """Return who holds a cluster's workers, and until when. What is no time holds nothing.

    Parameters
    ----------
    cluster : dict
        The DaskCluster.
    now : datetime.datetime
    """
    found = {}
    for holder, said in marks(cluster).items():
        try:
            until = parse_time(said)
        except ValueError:
            continue
        if until > now:
            found[holder] = until
    return found


def marks(cluster: Manifest) -> dict[str, str]:
    """Return what stands in a cluster's annotations, by holder."""
    annotations = cluster["metadata"].get("annotations") or {}
    return {
        key.removeprefix(FROZEN): str(value) for key, value in annotations.items() if key.startswith(FROZEN)
    }


def hold(holder: str, until: datetime | None) -> Manifest:
    """Write a patch of a DaskCluster that begins or prolongs a hold; with ``None``, one that ends it."""
    return {"metadata": {"annotations": {FROZEN + holder: until and format_time(until)}}}
