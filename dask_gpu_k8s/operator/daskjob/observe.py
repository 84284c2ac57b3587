"""DaskJob: what there is of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, DASKWORKERGROUP, POD, SERVICE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import Cache, Key, World
from dask_gpu_k8s.operator.objects.jobs import attempt_of, is_sidecar, runner_name
from dask_gpu_k8s.operator.pods import controller, is_owned_by
from dask_gpu_k8s.operator.upstream.marks import is_foreign, is_new, time_left_to_it

CREATED, CLUSTER_CREATED, RUNNING = "JobCreated", "ClusterCreated", "Running"
SUCCESSFUL, FAILED = "Successful", "Failed"
ENDED = (SUCCESSFUL, FAILED)
SUSPENDED = "Suspended"


@dataclass(frozen=True)
class Observed:
    """A job and what there is of it.

    Attributes
    ----------
    job : Manifest
    cluster, runner : Manifest, optional
        Its cluster and the Pod that its runner is in, of whichever attempt, if they are this very job's.
    in_the_way : sequence of Manifest
        What an earlier cluster or runner of these names has left: it goes by itself, and nothing new is
        made before, because old workers would join a new scheduler and an old Service lead to an old one.
    cooling : float
        Seconds for which nothing is made, because the API server has just refused something.
    is_beside_another : bool
        Whether this is a new job, and dask-kubernetes' operator is about that may look after it.
    """

    job: Manifest
    cluster: Manifest | None = None
    runner: Manifest | None = None
    in_the_way: Sequence[Manifest] = ()
    cooling: float = 0.0
    is_beside_another: bool = False

    def time_left_to_another(self, now: datetime) -> float:
        """Return for how many seconds the other operator may still claim it."""
        return time_left_to_it(self.job, now) if self.is_beside_another else 0.0

    @property
    def status(self) -> Manifest:
        """What has been said of it so far."""
        status: Manifest = self.job.get("status") or {}
        return status

    @property
    def state(self) -> str:
        """What its status says so far; empty for a new job."""
        return str(self.status.get("jobStatus") or "")

    @property
    def said(self) -> tuple[str, str]:
        """Reason and message that its status gives so far."""
        return str(self.status.get("reason") or ""), str(self.status.get("message") or "")

    @property
    def attempt(self) -> int:
        """Number of the present attempt; everything made for an earlier one is to go."""
        return int(self.status.get("attempt") or 0)

    @property
    def parts(self) -> list[Manifest]:
        """Those of its two parts that exist."""
        return [part for part in (self.cluster, self.runner) if part is not None]

    @property
    def outdated(self) -> list[Manifest]:
        """Parts that were made for an earlier attempt."""
        return [part for part in self.parts if attempt_of(part) < self.attempt]

    @property
    def is_stale(self) -> bool:
        """Whether there are parts of a later attempt: then the job itself is seen as it once was."""
        return any(attempt_of(part) > self.attempt for part in self.parts)

    def present(self, part: Manifest | None) -> Manifest | None:
        """Return a part if it belongs to the present attempt."""
        return part if part is not None and attempt_of(part) == self.attempt else None


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a job and its parts."""
    job = world.cache.get(DASKJOB, key.namespace, key.name)
    if job is None or is_foreign(job):
        return None
    cluster = world.cache.get(DASKCLUSTER, key.namespace, key.name)
    owners = [job["metadata"]["uid"]]
    in_the_way = list(_leftovers(key, job, world.cache, is_free=cluster is None))
    if cluster is not None and is_owned_by(cluster, owners[0]):
        owners += [cluster["metadata"]["uid"]] if is_sidecar(job) else []
    else:
        cluster = None
    runner = _owned(world.cache.get(POD, key.namespace, runner_name(job)), owners)
    status = job.get("status") or {}
    if status.get("jobStatus") == RUNNING and not _is_of_attempt(runner, status):
        # That it has vanished is the end of the attempt: not to be believed of a cache that may lag.
        runner = _owned(await world.live(POD, key.namespace, runner_name(job)), owners)
    is_beside_another = is_new(job) and world.is_beside_another()
    return Observed(job, cluster, runner, in_the_way, world.cooling(key, job), is_beside_another)


def _owned(pod: Manifest | None, owners: Sequence[str]) -> Manifest | None:
    return pod if pod is not None and any(is_owned_by(pod, owner) for owner in owners) else None


def _is_of_attempt(runner: Manifest | None, status: Manifest) -> bool:
    return runner is not None and attempt_of(runner) >= int(status.get("attempt") or 0)


def job_of(cluster: Manifest, cache: Cache) -> Manifest | None:
    """Return the DaskJob that a cluster belongs to."""
    meta = cluster["metadata"]
    for owner in meta.get("ownerReferences") or ():
        job = cache.get(DASKJOB, meta["namespace"], owner["name"])
        if job is not None and job["metadata"]["uid"] == owner["uid"]:
            return job
    return None


def _leftovers(key: Key, job: Manifest, cache: Cache, *, is_free: bool) -> Iterator[Manifest]:
    """Find what earlier owners of this name have left; `is_free`: no cluster has the name now."""
    runner = cache.get(POD, key.namespace, names.job_runner(key.name))
    if runner is not None and not is_owned_by(runner, job["metadata"]["uid"]):
        if _is_of(runner, key.name, DASKJOB):
            yield runner
    if not is_free:
        return
    group = names.worker_group(key.name)
    for resource, name in (
        (POD, names.scheduler(key.name)),
        (SERVICE, names.scheduler(key.name)),
        (SERVICE, names.cluster_ip_service(key.name)),
        (DASKWORKERGROUP, group),
    ):
        part = cache.get(resource, key.namespace, name)
        # A job may have taken over the Pod of a scheduler, for the log of the runner in it.
        if part is not None and _is_of(part, key.name, DASKCLUSTER, DASKJOB):
            yield part
    for pod in cache.workers_of(key.namespace, key.name):
        # One that has lost its owner goes with nobody: not to be waited for.
        if pod["metadata"]["labels"].get(labels.WORKERGROUP_NAME) == group and controller(pod):
            yield pod


def _is_of(obj: Manifest, name: str, *kinds: Resource) -> bool:
    owner = controller(obj)
    return owner.get("name") == name and owner.get("kind") in [kind.kind for kind in kinds]
