"""DaskCluster: what there is of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import (
    BUDGET,
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    NETWORKPOLICY,
    POD,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.autoscalers import server_of
from dask_gpu_k8s.operator.daskcluster.certificates import Certificates, observe_certificates
from dask_gpu_k8s.operator.engine.facts import Key, World
from dask_gpu_k8s.operator.pods import controller, is_leftover, is_owned_by, is_terminating
from dask_gpu_k8s.operator.upstream.marks import is_foreign, is_new, time_left_to_it
from dask_gpu_k8s.operator.upstream.scheduler import scheduler_pod
from dask_gpu_k8s.operator.workergroup.lost import silent_since


@dataclass(frozen=True)
class Observed:
    """A cluster and what there is of it.

    Attributes
    ----------
    cluster : Manifest
    scheduler, service, cluster_ip_service, default_group, budget, policy : Manifest, optional
        The objects of the names that it gives them, whoever owns them.
    groups : sequence of Manifest
        All its DaskWorkerGroups.
    is_scheduler_silent : bool
        Whether the node of the scheduler's Pod is not heard of any more.
    workers_left : int
        Worker Pods that are there although none is to be.
    awaits_runner : bool
        Whether it is the cluster of a DaskJob whose runner has no Pod yet: a quota must have room for that
        one before workers.
    home : str
        Namespace of the operator itself; empty if it runs outside.
    certificates : Certificates, optional
        ``None`` if the cluster does not ask for TLS.
    is_beside_another : bool
        Whether this is a new cluster, and dask-kubernetes' operator is about that may look after it.
    cooling : float
        Seconds for which nothing is made, because the API server has just refused something.
    autoscaled : bool
        Whether an autoscaler serves the default group.
    """

    cluster: Manifest
    scheduler: Manifest | None = None
    service: Manifest | None = None
    cluster_ip_service: Manifest | None = None
    default_group: Manifest | None = None
    budget: Manifest | None = None
    policy: Manifest | None = None
    groups: Sequence[Manifest] = ()
    is_scheduler_silent: bool = False
    workers_left: int = 0
    awaits_runner: bool = False
    home: str = ""
    certificates: Certificates | None = None
    is_beside_another: bool = False
    cooling: float = 0.0
    autoscaled: bool = False

    @property
    def uid(self) -> str:
        """The cluster's uid."""
        return str(self.cluster["metadata"]["uid"])

    def time_left_to_another(self, now: datetime) -> float:
        """Return for how many seconds the other operator may still claim it."""
        return time_left_to_it(self.cluster, now) if self.is_beside_another else 0.0

    @property
    def parts(self) -> list[Manifest]:
        """Those of its single parts that exist."""
        parts = (
            self.scheduler,
            self.service,
            self.cluster_ip_service,
            self.default_group,
            self.policy,
        )
        return [part for part in parts if part is not None]

    @property
    def is_suspended(self) -> bool:
        """Whether there is to be no Pod of it at all."""
        return bool(self.cluster["spec"].get("suspend"))

    @property
    def are_workers_suspended(self) -> bool:
        """Whether there are to be no workers of it."""
        return self.is_suspended or bool(self.cluster["spec"].get("suspendWorkers"))

    def is_leftover(self, part: Manifest) -> bool:
        """Say whether `part` belongs to an earlier cluster of this name and goes by itself."""
        return is_leftover(part, DASKCLUSTER.kind, self.cluster)

    def is_own(self, child: Manifest | None) -> bool:
        """Say whether `child` exists and belongs to this very cluster."""
        return child is not None and is_owned_by(child, self.uid)


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a cluster and its parts."""
    cluster = world.cache.get(DASKCLUSTER, key.namespace, key.name)
    if cluster is None or is_foreign(cluster):
        return None

    def part(resource: Resource, name: str) -> Manifest | None:
        return world.cache.get(resource, key.namespace, name)

    owned = world.cache.owned(DASKWORKERGROUP, key.namespace, cluster["metadata"]["uid"])
    default_group = part(DASKWORKERGROUP, names.worker_group(key.name))
    scheduler = scheduler_pod(cluster, world.cache)
    autoscaler = server_of(default_group, world.cache.autoscalers_of(key.namespace, key.name))
    seen = Observed(
        cluster,
        scheduler=scheduler,
        service=part(SERVICE, names.scheduler(key.name)),
        cluster_ip_service=part(SERVICE, names.cluster_ip_service(key.name)),
        default_group=default_group,
        budget=part(BUDGET, names.scheduler(key.name)),
        policy=part(NETWORKPOLICY, names.network_policy(key.name)),
        groups=[group for group in owned if not is_terminating(group)],
        is_scheduler_silent=_is_silent(scheduler, world),
        awaits_runner=_awaits_runner(key, cluster, world),
        home=world.home,
        certificates=await observe_certificates(cluster, world),
        is_beside_another=is_new(cluster) and world.is_beside_another(),
        cooling=world.cooling(key, cluster),
        autoscaled=autoscaler is not None,
    )
    if not seen.are_workers_suspended:
        return seen
    return replace(seen, workers_left=len(world.cache.workers_of(key.namespace, key.name)))


def _is_silent(pod: Manifest | None, world: World) -> bool:
    if pod is None:
        return False
    node = pod["spec"].get("nodeName")
    since = silent_since(pod, world.node(node) if node else None)
    return since is not None and since <= world.now()


def _awaits_runner(key: Key, cluster: Manifest, world: World) -> bool:
    is_beside = labels.JOB_SIDECAR in (cluster["metadata"].get("annotations") or {})
    if controller(cluster).get("kind") != DASKJOB.kind or is_beside:
        return False
    return world.cache.get(POD, key.namespace, names.job_runner(key.name)) is None


def problem(cluster: Manifest) -> str | None:
    """Say why nothing can be made of a cluster, where its schema has not caught it."""
    meta = cluster["metadata"]
    wrong = names.cluster_name_problem(meta["name"])
    return f"The name {meta['name']!r} {wrong}." if wrong else None
