"""The parts of a DaskJob."""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.containers import make_pod_spec
from dask_gpu_k8s.operator.objects.metadata import identity, make_metadata
from dask_gpu_k8s.operator.objects.scheduler import scheduler_address
from dask_gpu_k8s.operator.objects.security import secure
from dask_gpu_k8s.operator.objects.sidecar import beside_scheduler
from dask_gpu_k8s.operator.objects.worker_command import with_worker_command


def make_job_cluster(job: Manifest) -> Manifest:
    """Make the DaskCluster of a DaskJob's present attempt."""
    name = job["metadata"]["name"]
    asked = job["spec"]["cluster"]
    spec = with_worker_command(asked["spec"], _worker_command(job))
    made: Manifest = {
        **identity(DASKCLUSTER),
        "metadata": make_metadata(name, job, DASKJOB, asked.get("metadata"), fixed=labels.of_cluster(name)),
        "spec": spec,
    }
    if is_sidecar(job):
        made["spec"] = beside_scheduler(spec, job["spec"]["job"], _runner_spec(job))
        made["metadata"]["annotations"][labels.JOB_SIDECAR] = "true"
    return _of_attempt(job, made)


def make_runner_pod(job: Manifest) -> Manifest:
    """Make the Pod that runs a DaskJob's own program, in its present attempt.

    It does not start again by itself unless the user said so: its end is the end of the attempt.
    """
    name = job["metadata"]["name"]
    made = {
        **identity(POD),
        "metadata": make_metadata(
            names.job_runner(name),
            job,
            DASKJOB,
            job["spec"]["job"].get("metadata"),
            fixed=labels.of_job_runner(name),
        ),
        "spec": secure(make_job_cluster(job), _runner_spec(job)),
    }
    return _of_attempt(job, made)


def runner_name(job: Manifest) -> str:
    """Return the name of the Pod that a job's runner is in."""
    name = job["metadata"]["name"]
    return names.scheduler(name) if is_sidecar(job) else names.job_runner(name)


def runner_restart_policy(job: Manifest) -> str:
    """Return the restart policy of the Pod that a job's runner is in."""
    return str(job["spec"]["job"]["spec"].get("restartPolicy") or "Never")


def is_sidecar(job: Manifest) -> bool:
    """Say whether a job's runner is beside the scheduler in its Pod."""
    return bool(job["spec"].get("submissionMode") == "Sidecar")


def attempt_of(obj: Manifest) -> int:
    """Return which attempt of its job something was made for."""
    text = (obj["metadata"].get("annotations") or {}).get(labels.JOB_ATTEMPT) or "0"
    return int(text) if text.isdecimal() else 0


def _runner_spec(job: Manifest) -> dict[str, Any]:
    address = scheduler_address({"metadata": job["metadata"], "spec": job["spec"]["cluster"]["spec"]})
    spec = make_pod_spec(
        job["spec"]["job"]["spec"], env={"DASK_SCHEDULER_ADDRESS": address}, legacy_commands=False
    )
    return {**spec, "restartPolicy": runner_restart_policy(job)}


def _worker_command(job: Manifest) -> list[str]:
    return str((job["metadata"].get("annotations") or {}).get(labels.WORKER_COMMAND) or "").split()


def _of_attempt(job: Manifest, made: Manifest) -> Manifest:
    number = str((job.get("status") or {}).get("attempt") or 0)
    annotations = {**made["metadata"]["annotations"], labels.JOB_ATTEMPT: number}
    return {**made, "metadata": {**made["metadata"], "annotations": annotations}}
