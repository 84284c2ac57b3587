"""DaskJob: what there is of it, and the state that follows from that."""

from __future__ import annotations

from dataclasses import dataclass

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import Key, World
from dask_gpu_k8s.operator.pods import is_owned_by

CREATED, CLUSTER_CREATED, RUNNING = "JobCreated", "ClusterCreated", "Running"
SUCCESSFUL, FAILED = "Successful", "Failed"
ENDED = (SUCCESSFUL, FAILED)


@dataclass(frozen=True)
class Observed:
    """A job and its two parts, each only if it belongs to this very job."""

    job: Manifest
    cluster: Manifest | None = None
    runner: Manifest | None = None
    cooling: float = 0.0

    @property
    def state(self) -> str:
        """What its status says so far; empty for a new job."""
        return str((self.job.get("status") or {}).get("jobStatus") or "")


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a job and its parts."""
    job = world.cache.get(DASKJOB, key.namespace, key.name)
    if job is None:
        return None
    cluster = world.cache.get(DASKCLUSTER, key.namespace, key.name)
    runner = world.cache.get(POD, key.namespace, names.job_runner(key.name))
    uid = job["metadata"]["uid"]
    return Observed(
        job,
        cluster if cluster and is_owned_by(cluster, uid) else None,
        runner if runner and is_owned_by(runner, uid) else None,
        world.cooling(key, job),
    )


def state_of(seen: Observed, *, created: bool = False) -> str:
    """Return the state that follows from what there is; a job that has ended stays so."""
    if seen.state in ENDED:
        return seen.state
    if not seen.state:
        return CREATED
    if seen.runner is None:
        if seen.state == RUNNING:
            return FAILED
        return CLUSTER_CREATED if created else seen.state
    phase = (seen.runner.get("status") or {}).get("phase")
    by_phase = {"Succeeded": SUCCESSFUL, "Failed": FAILED, "Running": RUNNING}
    return by_phase.get(phase or "", RUNNING if seen.state == RUNNING else CLUSTER_CREATED)
