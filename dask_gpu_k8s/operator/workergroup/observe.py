"""DaskWorkerGroup: what there is of it, and what its scheduler says of its workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.autoscalers import as_wanted, server_of
from dask_gpu_k8s.operator.engine.facts import Key, SchedulerAt, SchedulerUnreachable, WorkerFacts, World
from dask_gpu_k8s.operator.objects.containers import comm_port_of
from dask_gpu_k8s.operator.objects.security import secret_of
from dask_gpu_k8s.operator.objects.workers import replicas_of
from dask_gpu_k8s.operator.pods import has_started, is_finished, is_marked, is_owned_by, is_terminating
from dask_gpu_k8s.operator.workergroup.victims import Candidate, match


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
    cooling : float
        Seconds for which no Pod is made, because the API server has just refused some.
    autoscaled : bool
        Whether an autoscaler serves it; its number of workers is then the autoscaler's.
    """

    group: Manifest
    cluster: Manifest | None = None
    candidates: tuple[Candidate, ...] = ()
    settled: bool = True
    scheduler: SchedulerAt | None = None
    workers: Mapping[str, WorkerFacts] | None = None
    unreachable: str = ""
    elsewhere: tuple[Candidate, ...] = ()
    cooling: float = 0.0
    autoscaled: bool = False

    @property
    def must_empty(self) -> bool:
        """Whether a person wants no workers at all, whatever becomes of results. No autoscaler wants that."""
        return replicas_of(self.group) == 0 and not self.autoscaled

    @property
    def present(self) -> list[Candidate]:
        """The Pods that nobody has deleted yet."""
        return [candidate for candidate in self.candidates if not is_terminating(candidate.pod)]

    @property
    def finished(self) -> list[Candidate]:
        """Those that have ended."""
        return [candidate for candidate in self.present if is_finished(candidate.pod)]

    @property
    def leaving(self) -> list[Candidate]:
        """Those that are to go."""
        return [each for each in self.present if is_marked(each.pod) and not is_finished(each.pod)]

    @property
    def counted(self) -> list[Candidate]:
        """Those that count as the group's workers."""
        return [each for each in self.present if not is_marked(each.pod) and not is_finished(each.pod)]


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a group; ask its scheduler only if started workers have to go."""
    group = world.cache.get(DASKWORKERGROUP, key.namespace, key.name)
    if group is None:
        return None
    cluster = world.cache.get(DASKCLUSTER, key.namespace, group["spec"]["cluster"])
    if cluster is None or is_terminating(cluster):
        return Observed(group)
    autoscaler = server_of(group, world.cache.autoscalers_of(key.namespace, group["spec"]["cluster"]))
    found = await world.group_pods(key, group)
    seen = Observed(
        as_wanted(group, autoscaler),
        cluster,
        tuple(match(found.pods, {})),
        settled=found.settled,
        scheduler=scheduler_at(cluster, world),
        cooling=world.cooling(key, group),
        autoscaled=autoscaler is not None,
    )
    if not found.settled or not _needs_scheduler(seen):
        return seen
    if seen.scheduler is None:
        return replace(seen, unreachable="its Pod is not running")
    try:
        workers = await world.workers(seen.scheduler)
    except SchedulerUnreachable as error:
        return replace(seen, unreachable=str(error))
    uid = group["metadata"]["uid"]
    others = [
        pod
        for pod in world.cache.workers_of(key.namespace, cluster["metadata"]["name"])
        if (is_marked(pod) or is_terminating(pod)) and not is_owned_by(pod, uid)
    ]
    return replace(
        seen,
        candidates=tuple(match(found.pods, workers)),
        workers=workers,
        elsewhere=tuple(match(others, workers)),
    )


def scheduler_at(cluster: Manifest, world: World) -> SchedulerAt | None:
    """Find out where a cluster's scheduler can be reached."""
    namespace, name = cluster["metadata"]["namespace"], cluster["metadata"]["name"]
    pod = world.cache.get(POD, namespace, names.scheduler(name))
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
    excess = len(seen.counted) - replicas_of(seen.group)
    spare = sum(candidate.is_spare for candidate in seen.counted)
    return excess > spare or any(has_started(candidate.pod) for candidate in seen.leaving)
