"""Every derived name and the rule for its length, in one place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

MAX_CLUSTER_NAME = 53
"""Longest DaskCluster or DaskJob name: `<name>-scheduler` must fit into a Service name of 63."""
MAX_WORKER_GROUP_NAME = 63

CLUSTER_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1035 label: before Kubernetes 1.36 a Service name may not start with a digit."""

DEFAULT_GROUP = "default"


def cluster_name_problem(name: str) -> str | None:
    """Say what is wrong with the name of a DaskCluster or DaskJob.

    Parameters
    ----------
    name : str

    Returns
    -------
    str or None
        A sentence for the user, or ``None`` if the name is fine.
    """
    if len(name) > MAX_CLUSTER_NAME:
        return (
            f"is {len(name)} characters long; at most {MAX_CLUSTER_NAME} fit, because Service names end at 63"
        )
    if not re.fullmatch(CLUSTER_NAME_PATTERN, name):
        return (
            "must start with a lower-case letter, end with a letter or digit, and hold only "
            "lower-case letters, digits and '-'"
        )
    return None


def scheduler(cluster: str) -> str:
    """Name of the scheduler Pod, of the Service of the asked type, and of the PodDisruptionBudget."""
    return f"{cluster}-scheduler"


def cluster_ip_service(cluster: str) -> str:
    """Name of the ClusterIP Service that stands beside the scheduler Service, whatever that one's type."""
    return f"{cluster}-service"


def client_lease(cluster: str) -> str:
    """Name of the Lease by which a client says that a cluster with a ``ttl`` is still wanted."""
    return f"{cluster}-client"


def network_policy(cluster: str) -> str:
    """Name of the NetworkPolicy that closes a cluster to others."""
    return f"{cluster}-network"


def tls_secret(cluster: str) -> str:
    """Name of the Secret with the certificates of a secured cluster."""
    return f"{cluster}-tls"


def worker_group(cluster: str, group: str = DEFAULT_GROUP) -> str:
    """Name of the DaskWorkerGroup that `group` stands for in `cluster`."""
    return f"{cluster}-{group}"


def autoscaled_group(spec: Mapping[str, Any]) -> str:
    """Name of the DaskWorkerGroup that a DaskAutoscaler with this ``spec`` is for."""
    return str(spec.get("workerGroup") or worker_group(spec["cluster"]))


def worker_pod(group: str, uid: str, index: int) -> str:
    """Name of the `index`-th worker Pod ever made for a group.

    The ten hex are derived, not drawn, so that a create repeated after a crash meets its own Pod.

    Parameters
    ----------
    group : str
        Name of the DaskWorkerGroup.
    uid : str
        Its ``metadata.uid``: a group made again under the same name gets other Pod names.
    index : int
        Value of the group's counter.
    """
    digest = hashlib.sha256(f"{uid}/{index}".encode()).hexdigest()
    return f"{group}-worker-group-worker-{digest[:10]}"


def job_runner(job: str) -> str:
    """Name of the Pod that runs a DaskJob's own program."""
    return f"{job}-runner"
