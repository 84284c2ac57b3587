"""What is left of a deleted owner: deleted at once, where the garbage collector takes its time."""

from dask_gpu_k8s.operator.dependents import observe, plan

__all__ = ["observe", "plan"]
