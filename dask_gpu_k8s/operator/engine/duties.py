"""What else is to be done when something changes, beside looking at whom it concerns."""

from __future__ import annotations

from dask_gpu_k8s.api.resources import DASKCLUSTER, OWNERS, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.pods import is_terminating
from dask_gpu_k8s.operator.upstream.marks import is_marked

ENDING = "Ending of DaskCluster"
"""Watching over when a cluster ends by itself. It has a clock of its own: the status does not wake it."""


ADOPTION = {"DaskCluster": "Adoption of DaskCluster", "DaskJob": "Adoption of DaskJob"}
"""Dealing with a resource on which dask-kubernetes' operator has left its marks."""

DEPENDENTS = "Dependents of"
"""Deleting what a deleted object owns. Its key has the owner's uid for a name."""


def duties(resource: Resource, old: Manifest | None, new: Manifest | None) -> set[Key]:
    """Return the keys of what is to be done about a change.

    Parameters
    ----------
    resource : Resource
        Kind of the object.
    old, new : Manifest, optional
        The object before and after; ``None`` where it did not exist.
    """
    keys = set()
    if resource == DASKCLUSTER and new is not None and (_ends(new) or _ends(old)) and _is_other(old, new):
        keys.add(Key(ENDING, new["metadata"]["namespace"], new["metadata"]["name"]))
    if resource.kind in ADOPTION and new is not None and is_marked(new):
        keys.add(Key(ADOPTION[resource.kind], new["metadata"]["namespace"], new["metadata"]["name"]))
    if resource in OWNERS and old is not None and _goes(old, new):
        keys.add(Key(DEPENDENTS, old["metadata"]["namespace"], old["metadata"]["uid"]))
    return keys


def _goes(old: Manifest, new: Manifest | None) -> bool:
    """Say whether an object is gone, or on its way by another one's word than before."""
    if new is None or new["metadata"]["uid"] != old["metadata"]["uid"]:
        return True
    fields = ("deletionTimestamp", "finalizers")
    return is_terminating(new) and any(
        old["metadata"].get(field) != new["metadata"].get(field) for field in fields
    )


def _ends(cluster: Manifest | None) -> bool:
    return cluster is not None and bool(cluster["spec"].get("idleTimeout") or cluster["spec"].get("ttl"))


def _is_other(old: Manifest | None, new: Manifest) -> bool:
    """Say whether it is another object or asks for something else."""
    return old is None or any(
        old["metadata"].get(field) != new["metadata"].get(field) for field in ("uid", "generation")
    )
