"""The kinds that have a controller, and how each is looked after."""

from __future__ import annotations

from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKJOB, DASKWORKERGROUP, POD
from dask_gpu_k8s.operator import (
    daskautoscaler,
    daskcluster,
    daskjob,
    dependents,
    ending,
    workergroup,
)
from dask_gpu_k8s.operator.engine.controller import Kind
from dask_gpu_k8s.operator.engine.duties import ADOPTION, DEPENDENTS, ENDING
from dask_gpu_k8s.operator.upstream import jobs
from dask_gpu_k8s.operator.upstream import observe as adoption
from dask_gpu_k8s.operator.upstream import plan as adopting

KINDS = (
    Kind(DASKCLUSTER, daskcluster.observe.observe, daskcluster.plan.plan, daskcluster.status.conclude),
    Kind(DASKWORKERGROUP, workergroup.observe.observe, workergroup.plan.plan, workergroup.status.conclude),
    Kind(DASKJOB, daskjob.observe.observe, daskjob.plan.plan, daskjob.status.conclude),
    Kind(
        DASKAUTOSCALER,
        daskautoscaler.observe.observe,
        daskautoscaler.plan.plan,
        daskautoscaler.status.conclude,
    ),
    Kind(DASKCLUSTER, ending.observe.observe, ending.plan.plan, ending.plan.conclude, ENDING),
    Kind(
        DASKCLUSTER,
        adoption.observe,
        adopting.plan,
        adopting.conclude,
        ADOPTION[DASKCLUSTER.kind],
    ),
    Kind(DASKJOB, jobs.observe, jobs.plan, jobs.conclude, ADOPTION[DASKJOB.kind]),
    Kind(POD, dependents.observe.observe, dependents.plan.plan, dependents.plan.conclude, DEPENDENTS),
)
