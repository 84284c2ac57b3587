"""Dependents of an owner that is gone or going: what there is of them.

The key names the owner by its uid, so that another one made under the same name is never taken for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import (
    BUDGET,
    DASKCLUSTER,
    DASKWORKERGROUP,
    NETWORKPOLICY,
    OWNERS,
    POD,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import Key, World
from dask_gpu_k8s.operator.pods import is_terminating

OWNER_KINDS = {owner.kind: owner for owner in OWNERS}

DELETED = (DASKCLUSTER, DASKWORKERGROUP, POD, SERVICE, BUDGET, NETWORKPOLICY)
"""Kinds of dependents that do not wait for the collector. DaskAutoscalers do: who made one by hand deletes
it after its cluster, and takes it for an error if it is gone by then."""

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
"""Finalizers by which the API server notes how an owner is to go."""


@dataclass(frozen=True)
class Observed:
    """Dependents of one owner.

    Attributes
    ----------
    uid : str
        The owner's.
    owner : Manifest, optional
        As it is now, by the API server's own word; ``None`` if it is gone.
    dependents : sequence of (Resource, Manifest)
    workers : sequence of Manifest
        Pods of worker groups among them that belong to nobody else.
    cluster : Manifest, optional
        The DaskCluster whose name the dependents carry, unless it goes too.
    """

    uid: str
    owner: Manifest | None
    dependents: Sequence[tuple[Resource, Manifest]]
    workers: Sequence[Manifest] = ()
    cluster: Manifest | None = None

    @property
    def is_going(self) -> bool:
        """Whether the owner goes, and its dependents with it."""
        return self.owner is None or (is_terminating(self.owner) and not self._has(ORPHAN))

    @property
    def waits_for_all(self) -> bool:
        """Whether the owner goes only when all of theirs are gone too."""
        return self.owner is not None and self._has(FOREGROUND)

    def _has(self, finalizer: str) -> bool:
        return finalizer in ((self.owner or {})["metadata"].get("finalizers") or ())


async def observe(key: Key, world: World) -> Observed | None:
    """Look for dependents, and ask the API server itself what has become of their owner."""
    uid = key.name
    found = [
        (resource, obj) for resource in DELETED for obj in world.cache.owned(resource, key.namespace, uid)
    ]
    if not found:
        return None
    reference = next(each for each in found[0][1]["metadata"]["ownerReferences"] if each["uid"] == uid)
    resource = OWNER_KINDS.get(reference["kind"])
    if resource is None:
        return None
    owner = await world.live(resource, key.namespace, reference["name"])
    return Observed(
        uid,
        owner if owner is not None and owner["metadata"]["uid"] == uid else None,
        found,
        list(_workers(found, uid, world)),
        _cluster(found[0][1], world),
    )


def belongs_to(obj: Manifest, uid: str) -> bool:
    """Say whether an object has this owner and no other."""
    return all(owner["uid"] == uid for owner in obj["metadata"]["ownerReferences"])


def _workers(found: Sequence[tuple[Resource, Manifest]], uid: str, world: World) -> Iterator[Manifest]:
    for resource, obj in found:
        if resource == DASKWORKERGROUP and belongs_to(obj, uid):
            group = obj["metadata"]
            pods = world.cache.owned(POD, group["namespace"], group["uid"])
            yield from (pod for pod in pods if belongs_to(pod, group["uid"]))


def _cluster(dependent: Manifest, world: World) -> Manifest | None:
    meta = dependent["metadata"]
    name = (meta.get("labels") or {}).get(labels.CLUSTER_NAME, "")
    cluster = world.cache.get(DASKCLUSTER, meta["namespace"], name)
    return None if cluster is None or is_terminating(cluster) else cluster
