"""Workers that are lost though their Pods are still there: on a node that has gone silent, or condemned.

The API server keeps such a Pod, for minutes or until its node comes back. It is replaced meanwhile and not
deleted: should its node come back first, its data is still there, and the group sheds the surplus as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import find, holds, parse_time
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import NodeFacts

PATIENCE = timedelta(seconds=5)
"""How long a node may be unready before its workers are replaced: a kubelet that restarts takes less."""

NEWS_OF_NODES = timedelta(seconds=90)
"""How long after the start of a Pod its node may be unheard of: it takes so long to find a dead watch."""


def lost_since(pod: Manifest, node: NodeFacts | None) -> datetime | None:
    """Return since when a Pod has to be taken for lost, `PATIENCE` aside; ``None`` if it has not.

    Parameters
    ----------
    pod : Manifest
    node : NodeFacts, optional
        ``None`` if nodes may not be read: then the Pod's own conditions tell.
    """
    return _first(_condemned(pod), silent_since(pod, node))


def silent_since(pod: Manifest, node: NodeFacts | None) -> datetime | None:
    """Return since when nothing is heard of a Pod's node; arguments as for `lost_since`."""
    return _first(_disowned(pod), _stranded(pod, node))


def _first(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)


def _condemned(pod: Manifest) -> datetime | None:
    """Say since when it is about to be evicted, preempted or shut down with its node."""
    conditions = (pod.get("status") or {}).get("conditions")
    return _time_of(find(conditions, "DisruptionTarget")) if holds(conditions, "DisruptionTarget") else None


def _disowned(pod: Manifest) -> datetime | None:
    """Say since when Kubernetes' node controller has it down as not ready, because its node is silent.

    That controller changes the status of the condition alone; a kubelet always gives a reason, and says of
    the containers what it says of the Pod.
    """
    conditions = (pod.get("status") or {}).get("conditions")
    ready = find(conditions, "Ready") or {}
    if ready.get("status") != "False" or ready.get("reason") or not holds(conditions, "ContainersReady"):
        return None
    return _time_of(ready)


def _stranded(pod: Manifest, node: NodeFacts | None) -> datetime | None:
    """Say since when its node is unready or gone, unless it was put there only afterwards."""
    if node is None or node.ready:
        return None
    created = parse_time(pod["metadata"]["creationTimestamp"])
    if node.since is not None:
        return node.since if created < node.since else None
    begun = (pod.get("status") or {}).get("startTime")
    return parse_time(begun) + NEWS_OF_NODES - PATIENCE if begun else None


def _time_of(condition: Manifest | None) -> datetime | None:
    text = (condition or {}).get("lastTransitionTime")
    return parse_time(text) if text else None


def find_lost(
    pods: Iterable[Manifest], node: Callable[[str], NodeFacts | None], now: datetime
) -> tuple[frozenset[str], float | None]:
    """Return the names of the lost Pods, and how many seconds it takes until another one is.

    Parameters
    ----------
    pods : iterable of Manifest
    node : callable
        From the name of a node to what is known of it.
    now : datetime
    """
    lost: set[str] = set()
    waits: list[float] = []
    nodes: dict[str, NodeFacts | None] = {}
    for pod in pods:
        name = pod["spec"].get("nodeName")
        if name and name not in nodes:
            nodes[name] = node(name)
        since = lost_since(pod, nodes[name] if name else None)
        if since is None:
            continue
        wait = (since + PATIENCE - now).total_seconds()
        if wait <= 0:
            lost.add(pod["metadata"]["name"])
        else:
            waits.append(wait)
    return frozenset(lost), min(waits, default=None)
