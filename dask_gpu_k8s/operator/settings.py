"""What can be set on the operator; `__main__` makes its command line from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """All settings, each with its default. Times are in seconds."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to look after; empty means all of them."""

    kubeconfig: str | None = None
    """Path of the kubeconfig; by default ``$KUBECONFIG``, ``~/.kube/config`` or the Pod's service account."""

    context: str | None = None
    """Context within the kubeconfig; by default its current one."""

    health_port: int = 0
    """Port of ``/healthz`` and ``/readyz``; 0 means that there is none."""

    log_level: str = "INFO"
    """Least severe log messages that are shown."""

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

    watch_stall_limit: float = 180.0
    """How long a watch may be silent before ``/healthz`` fails."""
