"""Who is concerned when something changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.holds import marks
from dask_gpu_k8s.api.resources import (
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    GROUP,
    POD,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.autoscalers import group_of
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.pods import is_finished, is_terminating
from dask_gpu_k8s.operator.upstream.marks import is_marked

Place: TypeAlias = tuple[str, str]
"""Namespace and name."""

LOOKED_AFTER = (DASKCLUSTER, DASKWORKERGROUP, DASKJOB, DASKAUTOSCALER)
"""Kinds that have a planner."""

_KINDS = {resource.kind for resource in LOOKED_AFTER}


def concerned(resource: Resource, obj: Manifest) -> set[Key]:
    """Return the keys of all that may have to do something about a change of `obj`.

    Parameters
    ----------
    resource : Resource
        Kind of `obj`.
    obj : Manifest
        The object as it is, or as it was before it went.
    """
    return set(_concerned(resource, obj))


def _concerned(resource: Resource, obj: Manifest) -> Iterator[Key]:
    meta = obj["metadata"]
    namespace = meta["namespace"]
    if resource in LOOKED_AFTER:
        yield Key(resource.kind, namespace, meta["name"])
    for owner in meta.get("ownerReferences") or ():
        if owner["kind"] in _KINDS and owner["apiVersion"].startswith(f"{GROUP}/"):
            yield Key(owner["kind"], namespace, owner["name"])
    own = meta.get("labels") or {}
    if resource == DASKWORKERGROUP:
        yield Key(DASKCLUSTER.kind, namespace, obj["spec"]["cluster"])
    elif resource == DASKAUTOSCALER:
        yield Key(DASKWORKERGROUP.kind, namespace, group_of(obj))
    elif resource == POD and own.get(labels.COMPONENT) == labels.WORKER and labels.WORKERGROUP_NAME in own:
        yield Key(DASKWORKERGROUP.kind, namespace, own[labels.WORKERGROUP_NAME])
    elif resource.group == "" and labels.CLUSTER_NAME in own:
        yield Key(DASKCLUSTER.kind, namespace, own[labels.CLUSTER_NAME])
        if labels.JOB_ATTEMPT in (meta.get("annotations") or {}):
            # The job's runner may be beside the scheduler; and the next attempt waits for it to be gone.
            yield Key(DASKJOB.kind, namespace, own[labels.CLUSTER_NAME])


def cluster_whose_groups_care(resource: Resource, old: Manifest | None, new: Manifest | None) -> Place:
    """Return namespace and name of the cluster whose groups may have to do something about a change.

    They go by its spec and by who holds them, make no workers while it has no scheduler's Pod, and make way
    where a quota refuses that one. Both are empty if they need not care.

    Parameters
    ----------
    resource : Resource
        Kind of the object.
    old, new : Manifest, optional
        The object before and after; ``None`` where it did not exist.
    """
    meta = (new or old or {})["metadata"]
    was_marked = old is not None and is_marked(old)
    if resource == DASKCLUSTER and (was_marked or _what_groups_go_by(old) != _what_groups_go_by(new)):
        return meta["namespace"], meta["name"]
    own = meta.get("labels") or {}
    is_scheduler = resource == POD and own.get(labels.COMPONENT) == labels.SCHEDULER
    if is_scheduler and labels.CLUSTER_NAME in own and _is_there(old) != _is_there(new):
        return meta["namespace"], own[labels.CLUSTER_NAME]
    return "", ""


def _what_groups_go_by(cluster: Manifest | None) -> object:
    if cluster is None:
        return None
    return cluster["metadata"].get("generation"), told(cluster, "Accepted").get("reason"), marks(cluster)


def _is_there(pod: Manifest | None) -> bool:
    return pod is not None and not is_terminating(pod) and not is_finished(pod)
