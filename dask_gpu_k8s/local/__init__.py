"""An embedded Kubernetes: an API server in memory and a node that runs Pods as local processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dask_gpu_k8s.local.kubernetes import LocalKubernetes, LocalKubernetesError

__all__ = ["LocalKubernetes", "LocalKubernetesError"]


def __getattr__(name: str) -> Any:
    # The server, started as a module below this package, needs neither of them.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dask_gpu_k8s.local import kubernetes

    return getattr(kubernetes, name)
