"""Dask clusters, above all GPU Dask, on Kubernetes.

The promise is what `__all__` names, with :mod:`dask_gpu_k8s.errors` and :mod:`dask_gpu_k8s.local`;
everything else may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dask_gpu_k8s.cluster.cluster import KubeCluster
    from dask_gpu_k8s.cluster.discovery import discover
    from dask_gpu_k8s.cluster.modes import CreateMode
    from dask_gpu_k8s.cluster.roles import PodOptions
    from dask_gpu_k8s.cluster.spec import make_cluster_spec, make_scheduler_spec, make_worker_spec

__version__ = "0.1.0"

__all__ = [
    "KubeCluster",
    "CreateMode",
    "PodOptions",
    "make_cluster_spec",
    "make_worker_spec",
    "make_scheduler_spec",
    "discover",
]

# Loaded on first use: a command that only starts a Kubernetes or an operator pays for no client.
_HOMES = {
    "KubeCluster": "cluster",
    "CreateMode": "modes",
    "PodOptions": "roles",
    "make_cluster_spec": "spec",
    "make_worker_spec": "spec",
    "make_scheduler_spec": "spec",
    "discover": "discovery",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"dask_gpu_k8s.cluster.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
