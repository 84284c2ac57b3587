"""How a DaskCluster ends by itself: nobody has work for it, or nobody says any more that it is wanted."""

from dask_gpu_k8s.operator.ending import observe, plan

__all__ = ["observe", "plan"]
