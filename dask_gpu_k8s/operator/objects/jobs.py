"""The parts of a DaskJob."""

from __future__ import annotations

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.containers import make_pod_spec
from dask_gpu_k8s.operator.objects.metadata import identity, make_metadata
from dask_gpu_k8s.operator.objects.scheduler import scheduler_address


def make_job_cluster(job: Manifest) -> Manifest:
    """Make the DaskCluster of a DaskJob."""
    name = job["metadata"]["name"]
    asked = job["spec"]["cluster"]
    return {
        **identity(DASKCLUSTER),
        "metadata": make_metadata(name, job, DASKJOB, asked.get("metadata"), fixed=labels.of_cluster(name)),
        "spec": asked["spec"],
    }


def make_runner_pod(job: Manifest) -> Manifest:
    """Make the Pod that runs a DaskJob's own program.

    It does not start again by itself unless the user said so: its end is the end of the job.
    """
    name = job["metadata"]["name"]
    role = job["spec"]["job"]
    env = {"DASK_SCHEDULER_ADDRESS": scheduler_address(make_job_cluster(job))}
    spec = make_pod_spec(role["spec"], env=env, legacy_commands=False)
    return {
        **identity(POD),
        "metadata": make_metadata(
            names.job_runner(name), job, DASKJOB, role.get("metadata"), fixed=labels.of_job_runner(name)
        ),
        "spec": {"restartPolicy": "Never", **spec},
    }
