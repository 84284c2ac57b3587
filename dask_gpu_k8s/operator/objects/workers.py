"""Worker groups and their Pods."""

from __future__ import annotations

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.containers import make_pod_spec
from dask_gpu_k8s.operator.objects.draining import with_drain
from dask_gpu_k8s.operator.objects.metadata import identity, inherited, make_metadata
from dask_gpu_k8s.operator.objects.scheduler import scheduler_address
from dask_gpu_k8s.operator.objects.security import secure, security_mark
from dask_gpu_k8s.operator.objects.templates import fingerprint, marked_with

GRACE_SECONDS = 20
"""Seconds that a worker gets to end unless the user says otherwise. Below Kubernetes' own 30, so that a
namespace with Dask clusters is gone in less, whatever a worker waits for: the controller that empties it
looks again when half of the longest grace is over."""


def make_default_group(cluster: Manifest) -> Manifest:
    """Make the DaskWorkerGroup of a cluster's own workers."""
    name = cluster["metadata"]["name"]
    role = cluster["spec"]["worker"]
    made = {
        **identity(DASKWORKERGROUP),
        "metadata": make_metadata(
            names.worker_group(name),
            cluster,
            DASKCLUSTER,
            role.get("metadata"),
            fixed=labels.of_worker_group(name),
        ),
        "spec": {"cluster": name, "worker": {**role, "replicas": replicas_of(cluster)}},
    }
    return marked_with(made, fingerprint(role["spec"], role.get("metadata") or {}))


def make_worker_pod(cluster: Manifest, group: Manifest, index: int, *, failures: int = 0) -> Manifest:
    """Make the `index`-th worker Pod of a group.

    Parameters
    ----------
    cluster, group : Manifest
        The DaskCluster and its DaskWorkerGroup.
    index : int
        Value of the group's counter; the name is derived from it.
    failures : int, optional
        How many Pods in a row have ended badly in the place that it takes.
    """
    role = group["spec"]["worker"]
    name = names.worker_pod(group["metadata"]["name"], group["metadata"]["uid"], index)
    env = {"DASK_WORKER_NAME": name, "DASK_SCHEDULER_ADDRESS": scheduler_address(cluster)}
    spec = secure(cluster, make_pod_spec(role["spec"], env=env))
    return {
        **identity(POD),
        "metadata": _worker_metadata(name, cluster, group, failures),
        "spec": with_drain({"terminationGracePeriodSeconds": GRACE_SECONDS, **spec}),
    }


def _worker_metadata(name: str, cluster: Manifest, group: Manifest, failures: int) -> Manifest:
    metadata = make_metadata(
        name,
        group,
        DASKWORKERGROUP,
        group["spec"]["worker"].get("metadata"),
        fixed=labels.of_workers(cluster["metadata"]["name"], group["metadata"]["name"]),
    )
    metadata["labels"] = {**inherited(cluster, "labels"), **metadata["labels"]}
    metadata["annotations"] = {
        # It is drained first, so it may go; without a word, a Pod without a Deployment keeps its node.
        labels.SAFE_TO_EVICT: "true",
        **inherited(cluster, "annotations"),
        **metadata["annotations"],
        labels.TEMPLATE: template_mark(cluster, group),
        **({labels.FAILURES: str(failures)} if failures else {}),
    }
    return metadata


def template_mark(cluster: Manifest, group: Manifest) -> str:
    """Return the mark of what a group's Pods are made from now."""
    role = group["spec"]["worker"]
    metadata = role.get("metadata") or {}
    return fingerprint(
        role["spec"],
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
        *security_mark(cluster),
    )


def replicas_of(resource: Manifest) -> int:
    """Return how many workers a DaskCluster or DaskWorkerGroup asks for."""
    asked = resource["spec"]["worker"].get("replicas")
    return max(0, 1 if asked is None else int(asked))
