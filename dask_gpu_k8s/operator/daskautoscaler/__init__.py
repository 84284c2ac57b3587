"""DaskAutoscaler: a worker group that grows and shrinks with the work that there is for it."""

from dask_gpu_k8s.operator.daskautoscaler import observe, plan, status

__all__ = ["observe", "plan", "status"]
