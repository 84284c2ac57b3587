"""What is known of nodes, where the operator may read them: an operator for single namespaces may not."""

from __future__ import annotations

import time

from dask_gpu_k8s.api.conditions import parse_time, told
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.reflector import Reflector
from dask_gpu_k8s.operator.engine.facts import NodeFacts

STALE = 90.0
"""Seconds without a word from the API server after which nobody is said to be gone any more."""


class Nodes:
    """Nodes as a reflector follows them.

    Parameters
    ----------
    reflector : Reflector, optional
        ``None`` if nodes are not followed.
    """

    def __init__(self, reflector: Reflector | None) -> None:
        self._reflector = reflector

    def get(self, name: str) -> NodeFacts | None:
        """Return what is known of a node; ``None`` if that is nothing, be there such a node or not."""
        if self._reflector is None or not self._reflector.synced.is_set():
            return None
        node = self._reflector.store.get("", name)
        if node is not None:
            return readiness(node)
        is_fresh = time.monotonic() - self._reflector.last_contact < STALE
        return NodeFacts(ready=False, since=None) if is_fresh else None


def readiness(node: Manifest) -> NodeFacts:
    """Say whether a node is ready and since when; one that has not said anything yet counts as ready."""
    ready = told(node, "Ready")
    since = ready.get("lastTransitionTime") or node["metadata"]["creationTimestamp"]
    return NodeFacts(ready.get("status", "True") == "True", parse_time(since))


def has_changed(old: Manifest | None, new: Manifest | None) -> bool:
    """Say whether a node has come, gone, or changed in what is known of it here."""
    return old is None or new is None or readiness(old) != readiness(new)


def trim_node(node: Manifest) -> Manifest:
    """Keep of a node what is read here."""
    meta = {key: node["metadata"].get(key) for key in ("name", "uid", "resourceVersion", "creationTimestamp")}
    ready = told(node, "Ready")
    return {"metadata": meta, "status": {"conditions": [ready] if ready else []}}
