"""What can be set on the operator; `__main__` makes its command line from it."""

from __future__ import annotations

from dataclasses import dataclass

from dask_gpu_k8s.kube.limits import IN_FLIGHT
from dask_gpu_k8s.kube.reflector import RELIST_SECONDS
from dask_gpu_k8s.kube.streams import SILENCE_SECONDS


@dataclass(frozen=True)
class Settings:
    """All settings, each with its default. Times are in seconds."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to look after; empty means all of them."""

    kubeconfig: str | None = None
    """Path of the kubeconfig; by default ``$KUBECONFIG``, ``~/.kube/config`` or the Pod's service account."""

    context: str | None = None
    """Context within the kubeconfig; by default its current one."""

    adopt: bool = False
    """Whether all clusters of dask-kubernetes' operator are taken over, not only those that say so."""

    health_port: int = 0
    """Port of ``/healthz``, ``/readyz`` and ``/metrics``; 0 means that there is none."""

    log_level: str = "INFO"
    """Least severe log messages that are shown."""

    log_format: str = "plain"
    """``"plain"`` for people, ``"json"`` for programs: one object in each line."""

    defaults: str | None = None
    """Path of a file that says what the objects get unless their owner says otherwise."""

    lease: str | None = None
    """Name of a Lease in the operator's own namespace: of all who name it, the one that holds it works."""

    lease_duration: float = 12.0
    """How long a leader that says nothing keeps its Lease. It stops working at two thirds of that itself."""

    requests_in_flight: int = IN_FLIGHT
    """Requests to the API server at once; watches do not count."""

    requests_per_second: float | None = None
    """Requests to the API server that begin in a second; by default as many as there are."""

    reconcilers: int = 16
    """How many resources are worked on at once. Two runs of one resource never overlap."""

    run_limit: float = 120.0
    """How long one run over a resource may take before it is given up and tried again."""

    scheduler_timeout: float = 5.0
    """How long a Dask scheduler may take to be reached and to answer a question."""

    retire_patience: float = 5.0
    """How long a run waits for data to move off retiring workers; moving goes on beyond it."""

    expectation_timeout: float = 10.0
    """How long the cache may take to show our own changes before the API server is asked."""

    watch_silence: float = SILENCE_SECONDS
    """How long a watch may be silent before its kind is listed anew."""

    watch_stall_limit: float = 180.0
    """How long the API server may be silent about a kind before ``/healthz`` fails."""

    relist: float = RELIST_SECONDS
    """Age at which a list is taken anew though nothing seems wrong."""
