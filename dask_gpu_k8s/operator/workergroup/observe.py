"""DaskWorkerGroup: what there is of it, and what its scheduler says of its workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from dask_gpu_k8s.api.holds import holds
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.autoscalers import as_wanted, server_of
from dask_gpu_k8s.operator.engine.facts import Key, SchedulerAt, SchedulerUnreachable, WorkerFacts, World
from dask_gpu_k8s.operator.objects.containers import comm_port_of
from dask_gpu_k8s.operator.objects.security import secret_of
from dask_gpu_k8s.operator.objects.workers import replicas_of, template_mark
from dask_gpu_k8s.operator.pods import (
    is_finished,
    is_marked,
    is_owned_by,
    is_ready,
    is_running,
    is_terminating,
)
from dask_gpu_k8s.operator.upstream.marks import is_foreign
from dask_gpu_k8s.operator.upstream.scheduler import scheduler_pod
from dask_gpu_k8s.operator.workergroup.lost import find_lost
from dask_gpu_k8s.operator.workergroup.rollout import due, is_outdated, strategy_of
from dask_gpu_k8s.operator.workergroup.victims import Candidate, has_strangers, match


@dataclass(frozen=True)
class Observed:
    """A group and all that a decision about it needs.

    Attributes
    ----------
    group : Manifest
    cluster : Manifest, optional
        ``None`` if there is none of that name, or it is being deleted.
    candidates : tuple of Candidate
        Its Pods, with their workers if the scheduler was asked.
    lost : frozenset of str
        Names of those that are there but lost.
    losing : float, optional
        Seconds until another one has to be taken for lost, unless it recovers.
    settled : bool
        ``False`` while the cache does not yet show our own last changes.
    scheduler : SchedulerAt, optional
        ``None`` if its Pod does not exist or has no address yet.
    workers : mapping, optional
        All workers of the cluster by address; ``None`` if nobody asked or nobody answered.
    unreachable : str
        Why the scheduler did not answer; empty if it did or was not asked.
    elsewhere : tuple of Candidate
        Pods of the cluster's other groups that are on their way out, if the scheduler was asked.
    strangers : bool
        Whether the scheduler knows workers of which it cannot be told to which Pod they belong.
    awaits_scheduler : bool
        Whether there is no scheduler's Pod that is to stay: a quota must have room for that one before
        workers, also where a suspended cluster is resumed.
    cooling : float
        Seconds for which no Pod is made, because the API server has just refused some.
    autoscaled : bool
        Whether an autoscaler serves it; its number of workers is then the autoscaler's.
    frozen_by : tuple of str
        Who keeps the cluster's workers as they are.
    frozen_for : float
        For how many seconds at least.
    """

    group: Manifest
    cluster: Manifest | None = None
    candidates: tuple[Candidate, ...] = ()
    lost: frozenset[str] = frozenset()
    losing: float | None = None
    settled: bool = True
    scheduler: SchedulerAt | None = None
    workers: Mapping[str, WorkerFacts] | None = None
    unreachable: str = ""
    elsewhere: tuple[Candidate, ...] = ()
    strangers: bool = False
    awaits_scheduler: bool = False
    cooling: float = 0.0
    autoscaled: bool = False
    frozen_by: tuple[str, ...] = ()
    frozen_for: float = 0.0

    @property
    def is_frozen(self) -> bool:
        """Whether no worker is made and none taken away. Suspending is stronger: it is to free GPUs."""
        return bool(self.frozen_by) and not self.is_paused

    @cached_property
    def is_still(self) -> bool:
        """Whether no worker is on its way out; what hangs on a lost node is none any more."""
        return not any(
            is_marked(each.pod) or is_terminating(each.pod)
            for each in self.candidates
            if not is_finished(each.pod) and each.name not in self.lost
        )

    @property
    def must_empty(self) -> bool:
        """Whether a person wants no workers at all, whatever becomes of results. No autoscaler wants that."""
        return self.is_paused or (replicas_of(self.group) == 0 and not self.autoscaled)

    @property
    def is_suspended(self) -> bool:
        """Whether the whole cluster is to have no Pod."""
        return bool(self.cluster and self.cluster["spec"].get("suspend"))

    @property
    def is_paused(self) -> bool:
        """Whether the cluster's groups are to have no workers for now."""
        spec = self.cluster["spec"] if self.cluster else {}
        return bool(spec.get("suspend") or spec.get("suspendWorkers"))

    @property
    def desired(self) -> int:
        """How many workers there are to be now."""
        return 0 if self.is_paused else replicas_of(self.group)

    @cached_property
    def mark(self) -> str:
        """The mark of the group's present template."""
        return template_mark(self.cluster, self.group) if self.cluster else ""

    @cached_property
    def present(self) -> list[Candidate]:
        """The Pods that nobody has deleted yet."""
        return [candidate for candidate in self.candidates if not is_terminating(candidate.pod)]

    @cached_property
    def finished(self) -> list[Candidate]:
        """Those that have ended."""
        return [candidate for candidate in self.present if is_finished(candidate.pod)]

    @cached_property
    def leaving(self) -> list[Candidate]:
        """Those that are to go."""
        return [each for each in self.present if is_marked(each.pod) and not is_finished(each.pod)]

    @cached_property
    def counted(self) -> list[Candidate]:
        """Those that count as the group's workers."""
        return [
            each
            for each in self.present
            if not is_marked(each.pod) and not is_finished(each.pod) and each.name not in self.lost
        ]

    @cached_property
    def ready(self) -> int:
        """How many of them are ready."""
        return sum(is_ready(candidate.pod) for candidate in self.counted)

    @cached_property
    def outdated(self) -> frozenset[str]:
        """Names of those that were made from another template."""
        return frozenset(each.name for each in self.counted if is_outdated(each.pod, self.mark))


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a group; ask its scheduler only if running workers have to go."""
    group = world.cache.get(DASKWORKERGROUP, key.namespace, key.name)
    if group is None:
        return None
    cluster = world.cache.get(DASKCLUSTER, key.namespace, group["spec"]["cluster"])
    if cluster is not None and is_foreign(cluster):
        return None
    if cluster is None or is_terminating(cluster):
        return Observed(group)
    autoscaler = server_of(group, world.cache.autoscalers_of(key.namespace, group["spec"]["cluster"]))
    found = await world.group_pods(key, group)
    held = holds(cluster, world.now())
    lost, losing = find_lost(found.pods, world.node, world.now())
    seen = Observed(
        as_wanted(group, autoscaler),
        cluster,
        tuple(match(found.pods, {})),
        lost=lost,
        losing=losing,
        settled=found.settled,
        scheduler=scheduler_at(cluster, world),
        awaits_scheduler=not _has_scheduler(cluster, world),
        cooling=world.cooling(key, group),
        autoscaled=autoscaler is not None,
        frozen_by=tuple(sorted(held)),
        frozen_for=max(((until - world.now()).total_seconds() for until in held.values()), default=0.0),
    )
    if not found.settled or not _needs_scheduler(seen):
        return seen
    return await _with_workers(seen, cluster, world)


async def _with_workers(seen: Observed, cluster: Manifest, world: World) -> Observed:
    if seen.scheduler is None:
        return replace(seen, unreachable="its Pod is not running")
    try:
        workers = await world.workers(seen.scheduler)
    except SchedulerUnreachable as error:
        return replace(seen, unreachable=str(error))
    meta = seen.group["metadata"]
    every = world.cache.workers_of(meta["namespace"], cluster["metadata"]["name"])
    others = [
        pod for pod in every if (is_marked(pod) or is_terminating(pod)) and not is_owned_by(pod, meta["uid"])
    ]
    return replace(
        seen,
        candidates=tuple(match([each.pod for each in seen.candidates], workers)),
        workers=workers,
        elsewhere=tuple(match(others, workers)),
        strangers=has_strangers([*every, *(each.pod for each in seen.candidates)], workers),
    )


def _has_scheduler(cluster: Manifest, world: World) -> bool:
    """Say whether there is a scheduler's Pod that is to stay, be it ready or not."""
    meta = cluster["metadata"]
    pod = scheduler_pod(cluster, world.cache)
    if pod is None or not is_owned_by(pod, meta["uid"]):
        return False
    return not is_terminating(pod) and not is_finished(pod)


def scheduler_at(cluster: Manifest, world: World) -> SchedulerAt | None:
    """Find out where a cluster's scheduler can be reached."""
    namespace, name = cluster["metadata"]["namespace"], cluster["metadata"]["name"]
    pod = scheduler_pod(cluster, world.cache)
    if pod is None or not is_owned_by(pod, cluster["metadata"]["uid"]):
        return None
    pod_ip = (pod.get("status") or {}).get("podIP")
    if not pod_ip or is_finished(pod):
        return None
    service = cluster["spec"]["scheduler"].get("service") or {}
    return SchedulerAt(
        namespace,
        name,
        pod["metadata"]["name"],
        pod["metadata"]["uid"],
        pod_ip,
        comm_port_of(pod["spec"]),
        comm_port_of(service, "port"),
        secret_of(pod),
    )


def _needs_scheduler(seen: Observed) -> bool:
    if seen.is_suspended or seen.cluster is None:
        return False
    if any(is_running(candidate.pod) for candidate in seen.leaving):
        return True
    if seen.is_frozen:
        return False
    excess = len(seen.counted) - seen.desired
    if excess > sum(candidate.is_spare for candidate in seen.counted):
        return True
    make_way = due(seen.counted, seen.mark, seen.desired, strategy_of(seen.group, seen.cluster))
    return any(is_running(candidate.pod) for candidate in make_way)
