"""DaskCluster: its scheduler Pod, two Services in front of it, and its default worker group."""

from dask_gpu_k8s.operator.daskcluster import observe, plan, status

__all__ = ["observe", "plan", "status"]
