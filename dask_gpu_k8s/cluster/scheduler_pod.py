"""Which Pod is a cluster's scheduler, and which ports it has. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dask_gpu_k8s.api.conditions import holds
from dask_gpu_k8s.api.types import Manifest

COMM_PORT, DASHBOARD_PORT = 8786, 8787
# Flyte calls the dashboard's port `dashboard`.
COMM_NAMES = ("tcp-comm", "comm")
DASHBOARD_NAMES = ("http-dashboard", "dashboard")


def pick_scheduler(pods: Iterable[Manifest], cluster_uid: str) -> Manifest | None:
    """Choose the scheduler of this very cluster: no leftover of one that had its name, none that is leaving.

    Parameters
    ----------
    pods : iterable of Manifest
        Pods with the labels of the cluster's scheduler.
    cluster_uid : str
        ``metadata.uid`` of the DaskCluster.

    Returns
    -------
    Manifest or None
        The youngest one; ``None`` if there is none yet.
    """
    mine = [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and any(owner.get("uid") == cluster_uid for owner in pod["metadata"].get("ownerReferences") or ())
    ]
    return max(mine, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", default=None)


def is_ready(pod: Manifest) -> bool:
    """Say whether a Pod is Ready."""
    return holds((pod.get("status") or {}).get("conditions"), "Ready")


def runs(pod: Manifest) -> bool:
    """Say whether a container of a Pod runs, Ready or not."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any("running" in (each.get("state") or {}) for each in statuses)


def container_port(pod: Manifest, names: tuple[str, ...], default: int) -> int:
    """Find a container port of a Pod by one of its names, else by number."""
    ports = [port for each in pod["spec"]["containers"] for port in each.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("name") in names), default)


def pod_ports(pod: Manifest) -> tuple[int, int]:
    """Return the ports of a scheduler's Pod: its own and its dashboard's."""
    return (
        container_port(pod, COMM_NAMES, COMM_PORT),
        container_port(pod, DASHBOARD_NAMES, DASHBOARD_PORT),
    )


def service_port(service: Manifest, names: tuple[str, ...], number: int) -> Manifest | None:
    """Find an entry of ``ports`` in a Service's spec: by one of the names, else by number."""
    ports = service.get("ports") or ()
    by_name = [port for port in ports if port.get("name") in names]
    by_number = [port for port in ports if number in (port.get("port"), port.get("targetPort"))]
    return next(iter([*by_name, *by_number]), None)
