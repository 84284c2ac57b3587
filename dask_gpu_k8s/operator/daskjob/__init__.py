"""DaskJob: a cluster and a Pod that uses it; the cluster goes when the Pod has ended."""

from dask_gpu_k8s.operator.daskjob import observe, plan, status

__all__ = ["observe", "plan", "status"]
