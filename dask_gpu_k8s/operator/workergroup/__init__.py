"""DaskWorkerGroup: as many worker Pods as asked for, made at once and retired before they go."""

from dask_gpu_k8s.operator.workergroup import observe, plan, status

__all__ = ["observe", "plan", "status"]
