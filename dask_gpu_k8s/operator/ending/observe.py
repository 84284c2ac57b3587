"""The end of a DaskCluster: what speaks for it and what against."""

from __future__ import annotations

from dataclasses import dataclass

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.resources import DASKCLUSTER, LEASE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskjob.observe import ENDED, job_of
from dask_gpu_k8s.operator.ending.idle import Look, timeout_of
from dask_gpu_k8s.operator.ending.ttl import ttl_of
from dask_gpu_k8s.operator.engine.facts import Key, SchedulerUnreachable, World
from dask_gpu_k8s.operator.pods import is_terminating
from dask_gpu_k8s.operator.upstream.marks import is_foreign
from dask_gpu_k8s.operator.workergroup.observe import scheduler_at


@dataclass(frozen=True)
class Observed:
    """A cluster, and what its end depends on.

    Attributes
    ----------
    cluster : Manifest
    job : Manifest, optional
        The DaskJob that it belongs to, unless that has ended.
    look : Look, optional
        What the scheduler said; ``None`` if it could not be asked, or nobody wants to know.
    lease : Manifest, optional
        The client's, if there is one and it matters.
    """

    cluster: Manifest
    job: Manifest | None = None
    look: Look | None = None
    lease: Manifest | None = None


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a cluster, and at no more than its end depends on."""
    cluster = world.cache.get(DASKCLUSTER, key.namespace, key.name)
    if cluster is None or is_terminating(cluster) or is_foreign(cluster):
        return None
    job = job_of(cluster, world.cache)
    if job is not None and not (_has_ended(job) or is_terminating(job)):
        return Observed(cluster, job)
    look = await _look(cluster, world) if timeout_of(cluster) else None
    lease = None
    if ttl_of(cluster):
        lease = await world.live(LEASE, key.namespace, names.client_lease(key.name))
    return Observed(cluster, look=look, lease=lease)


def _has_ended(job: Manifest) -> bool:
    return (job.get("status") or {}).get("jobStatus") in ENDED


async def _look(cluster: Manifest, world: World) -> Look | None:
    scheduler = scheduler_at(cluster, world)
    if scheduler is None:
        return None
    spec = cluster["spec"]
    try:
        since = await world.idle_since(
            scheduler,
            clients=bool(spec.get("idleRespectsClients")),
            data=bool(spec.get("idleRespectsData")),
        )
    except SchedulerUnreachable:
        return None
    return Look(since)
