"""DaskCluster: its scheduler Pod, two Services in front of it, and its default worker group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD, SERVICE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.actions import Action, Create, Delete, Patch, Plan, soonest
from dask_gpu_k8s.operator.facts import Key, World
from dask_gpu_k8s.operator.objects import (
    make_cluster_ip_service,
    make_default_group,
    make_scheduler_pod,
    make_scheduler_service,
    replicas_of,
)
from dask_gpu_k8s.operator.pods import is_finished, is_owned_by, is_terminating, time_held
from dask_gpu_k8s.operator.refusals import is_refused_for_good


@dataclass(frozen=True)
class Observed:
    """A cluster and what there is of it.

    Attributes
    ----------
    cluster : Manifest
    scheduler, service, cluster_ip_service, default_group : Manifest, optional
        The objects of the names that it gives them, whoever owns them.
    groups : sequence of Manifest
        All its DaskWorkerGroups.
    cooling : float
        Seconds for which nothing is made, because the API server has just refused something.
    """

    cluster: Manifest
    scheduler: Manifest | None = None
    service: Manifest | None = None
    cluster_ip_service: Manifest | None = None
    default_group: Manifest | None = None
    groups: Sequence[Manifest] = ()
    cooling: float = 0.0

    @property
    def uid(self) -> str:
        """The cluster's uid."""
        return str(self.cluster["metadata"]["uid"])

    @property
    def parts(self) -> list[Manifest]:
        """Those of its single parts that exist."""
        parts = (self.scheduler, self.service, self.cluster_ip_service, self.default_group)
        return [part for part in parts if part is not None]

    def is_leftover(self, part: Manifest) -> bool:
        """Say whether `part` belongs to an earlier cluster of this name and goes by itself."""
        owners = part["metadata"].get("ownerReferences") or ()
        name = self.cluster["metadata"]["name"]
        return any(
            (owner.get("kind"), owner.get("name")) == (DASKCLUSTER.kind, name)
            and owner.get("uid") != self.uid
            for owner in owners
        )

    def is_own(self, child: Manifest | None) -> bool:
        """Say whether `child` exists and belongs to this very cluster."""
        return child is not None and is_owned_by(child, self.uid)


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a cluster and its parts."""
    cluster = world.cache.get(DASKCLUSTER, key.namespace, key.name)
    if cluster is None:
        return None

    def part(resource: Resource, name: str) -> Manifest | None:
        return world.cache.get(resource, key.namespace, name)

    owned = world.cache.owned(DASKWORKERGROUP, key.namespace, cluster["metadata"]["uid"])
    return Observed(
        cluster,
        part(POD, names.scheduler(key.name)),
        part(SERVICE, names.scheduler(key.name)),
        part(SERVICE, names.cluster_ip_service(key.name)),
        part(DASKWORKERGROUP, names.worker_group(key.name)),
        [group for group in owned if not is_terminating(group)],
        world.cooling(key, cluster),
    )


def problem(cluster: Manifest) -> str | None:
    """Say why nothing can be made of a cluster, where its schema has not caught it."""
    meta = cluster["metadata"]
    wrong = names.cluster_name_problem(meta["name"])
    return f"The name {meta['name']!r} {wrong}." if wrong else None


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a cluster now."""
    cluster = seen.cluster
    if is_terminating(cluster) or problem(cluster):
        return Plan()
    first, wait = _plan_ended_scheduler(seen, now)
    stages = [first, _plan_replicas(seen)]
    if seen.cooling:
        wait = soonest(wait, seen.cooling)
    elif not is_refused_for_good(cluster):
        stages = [first + _plan_missing(seen), _plan_replicas(seen) or _plan_group(seen)]
    return Plan(tuple(tuple(stage) for stage in stages if stage), wait)


def _plan_ended_scheduler(seen: Observed, now: datetime) -> tuple[list[Action], float | None]:
    """Clear away a scheduler Pod that has ended, and say when to look again."""
    pod = seen.scheduler
    if pod is None or not seen.is_own(pod) or is_terminating(pod) or not is_finished(pod):
        return [], None
    wait = time_held(pod, now)
    if wait > 0:
        return [], wait
    meta = pod["metadata"]
    return [Delete(POD, meta["namespace"], meta["name"], meta["uid"])], None


def _plan_missing(seen: Observed) -> list[Action]:
    """Make what is not there of the scheduler; in this order, because it is the one everybody waits for."""
    cluster = seen.cluster
    actions: list[Action] = []
    if seen.default_group is None and _passed(cluster) != replicas_of(cluster):
        actions.append(_remember(cluster))
    if seen.scheduler is None:
        actions.append(Create(POD, make_scheduler_pod(cluster)))
    if seen.service is None:
        actions.append(Create(SERVICE, make_scheduler_service(cluster)))
    if seen.cluster_ip_service is None:
        actions.append(Create(SERVICE, make_cluster_ip_service(cluster)))
    return actions


def _plan_group(seen: Observed) -> list[Action]:
    if seen.default_group is not None:
        return []
    return [Create(DASKWORKERGROUP, make_default_group(seen.cluster))]


def _plan_replicas(seen: Observed) -> list[Action]:
    """Pass an edit of the cluster's replicas on to the default group.

    What was passed last is remembered in the status, which is written before the group is made and
    after it is patched: so scaling the group itself is never taken for an edit of the cluster, nor the
    other way round.
    """
    cluster, group = seen.cluster, seen.default_group
    if group is None or not seen.is_own(group) or is_terminating(group):
        return []
    if _passed(cluster) == replicas_of(cluster):
        return []
    if group["spec"]["worker"].get("replicas") == replicas_of(cluster):
        return [_remember(cluster)]
    meta = group["metadata"]
    patch = {"spec": {"worker": {"replicas": replicas_of(cluster)}}}
    return [Patch(DASKWORKERGROUP, meta["namespace"], meta["name"], patch)]


def _passed(cluster: Manifest) -> int | None:
    value = (cluster.get("status") or {}).get("defaultGroupReplicas")
    return None if value is None else int(value)


def _remember(cluster: Manifest) -> Patch:
    meta = cluster["metadata"]
    status: Manifest = {"defaultGroupReplicas": replicas_of(cluster)}
    if not (cluster.get("status") or {}).get("phase"):
        status["phase"] = "Created"
    return Patch(DASKCLUSTER, meta["namespace"], meta["name"], {"status": status}, "status")
