"""The kinds that have a controller, and how each is looked after."""

from __future__ import annotations

from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, DASKWORKERGROUP
from dask_gpu_k8s.operator import daskcluster, daskjob, workergroup
from dask_gpu_k8s.operator.engine.controller import Kind

KINDS = (
    Kind(DASKCLUSTER, daskcluster.observe.observe, daskcluster.plan.plan, daskcluster.status.conclude),
    Kind(DASKWORKERGROUP, workergroup.observe.observe, workergroup.plan.plan, workergroup.status.conclude),
    Kind(DASKJOB, daskjob.observe.observe, daskjob.plan.plan, daskjob.status.conclude),
)
