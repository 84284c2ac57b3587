"""The annotation that gives a job's workers another program."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.operator.objects.jobs import make_job_cluster
from tests.unit.operator.builders import a_job


@pytest.mark.parametrize(
    ("field", "given", "made"),
    [
        ("args", ["dask-worker", "--nthreads", "2"], ["dask", "cuda", "worker", "--nthreads", "2"]),
        ("args", ["dask", "worker", "tcp://x"], ["dask", "cuda", "worker", "tcp://x"]),
        ("command", ["dask-cuda-worker"], ["dask", "cuda", "worker"]),
        ("command", ["dask", "cuda", "worker", "-x"], ["dask", "cuda", "worker", "-x"]),
        ("command", ["python", "mine.py", "dask-worker"], ["python", "mine.py", "dask-worker"]),
        ("args", [], []),
    ],
)
def test_flyte_the_first_words_are_replaced_and_the_rest_stays(field, given, made):
    job = a_job()
    job["metadata"]["annotations"] = {labels.WORKER_COMMAND: "dask cuda worker"}
    job["spec"]["cluster"]["spec"]["worker"]["spec"]["containers"] = [{"name": "worker", field: given}]
    (container,) = make_job_cluster(job)["spec"]["worker"]["spec"]["containers"]
    assert container[field] == made


@pytest.mark.parametrize("annotation", [None, "", "  "])
def test_without_words_nothing_is_replaced(annotation):
    job = a_job()
    job["metadata"]["annotations"] = {labels.WORKER_COMMAND: annotation} if annotation is not None else {}
    worker = make_job_cluster(job)["spec"]["worker"]
    assert worker == job["spec"]["cluster"]["spec"]["worker"]
