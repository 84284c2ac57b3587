"""Specification in, object out: the Pods, Services and resources that the operator makes.

Where two places set the same label or annotation, the later one in this table wins:

=====================  =====================================================================
object                 labels from
=====================  =====================================================================
scheduler, Services    cluster, ``spec.scheduler.metadata``, fixed
default worker group   cluster, ``spec.worker.metadata``, fixed
worker                 cluster, group, the group's ``spec.worker.metadata``, fixed
a job's cluster        job, ``spec.cluster.metadata``, fixed
job runner             job, ``spec.job.metadata``, fixed
=====================  =====================================================================

Annotations go the same way, except those that tools keep for themselves on the parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import (
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    POD,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.containers import comm_port_of, make_pod_spec

PRIVATE_ANNOTATIONS = ("kubectl.kubernetes.io/", "kopf.zalando.org/")
"""Prefixes of annotations with which a tool remembers something about the parent itself."""


def make_scheduler_pod(cluster: Manifest) -> Manifest:
    """Make the Pod of a cluster's scheduler."""
    name = cluster["metadata"]["name"]
    role = cluster["spec"]["scheduler"]
    return {
        **_identity(POD),
        "metadata": _make_metadata(
            names.scheduler(name), cluster, DASKCLUSTER, role.get("metadata"), fixed=labels.of_scheduler(name)
        ),
        "spec": make_pod_spec(role["spec"]),
    }


def make_scheduler_service(cluster: Manifest) -> Manifest:
    """Make the Service of the asked type in front of a cluster's scheduler."""
    name = cluster["metadata"]["name"]
    return _make_service(cluster, names.scheduler(name), _service_spec(cluster))


def make_cluster_ip_service(cluster: Manifest) -> Manifest:
    """Make the Service that gives a cluster's scheduler an address inside, whatever the other one's type."""
    name = cluster["metadata"]["name"]
    asked = _service_spec(cluster)
    ports = [
        {key: value for key, value in port.items() if key != "nodePort"} for port in asked.get("ports") or ()
    ]
    spec = {"type": "ClusterIP", "selector": asked["selector"], "ports": ports}
    return _make_service(cluster, names.cluster_ip_service(name), spec)


def make_default_group(cluster: Manifest) -> Manifest:
    """Make the DaskWorkerGroup of a cluster's own workers."""
    name = cluster["metadata"]["name"]
    role = cluster["spec"]["worker"]
    return {
        **_identity(DASKWORKERGROUP),
        "metadata": _make_metadata(
            names.worker_group(name),
            cluster,
            DASKCLUSTER,
            role.get("metadata"),
            fixed=labels.of_worker_group(name),
        ),
        "spec": {"cluster": name, "worker": {**role, "replicas": replicas_of(cluster)}},
    }


def make_worker_pod(cluster: Manifest, group: Manifest, index: int) -> Manifest:
    """Make the `index`-th worker Pod of a group.

    Parameters
    ----------
    cluster, group : Manifest
        The DaskCluster and its DaskWorkerGroup.
    index : int
        Value of the group's counter; the name is derived from it.
    """
    group_meta = group["metadata"]
    role = group["spec"]["worker"]
    name = names.worker_pod(group_meta["name"], group_meta["uid"], index)
    metadata = _make_metadata(
        name,
        group,
        DASKWORKERGROUP,
        role.get("metadata"),
        fixed=labels.of_workers(cluster["metadata"]["name"], group_meta["name"]),
    )
    for field in ("labels", "annotations"):
        metadata[field] = {**_inherited(cluster, field), **metadata[field]}
    env = {"DASK_WORKER_NAME": name, "DASK_SCHEDULER_ADDRESS": scheduler_address(cluster)}
    return {**_identity(POD), "metadata": metadata, "spec": make_pod_spec(role["spec"], env=env)}


def make_job_cluster(job: Manifest) -> Manifest:
    """Make the DaskCluster of a DaskJob."""
    name = job["metadata"]["name"]
    asked = job["spec"]["cluster"]
    return {
        **_identity(DASKCLUSTER),
        "metadata": _make_metadata(name, job, DASKJOB, asked.get("metadata"), fixed=labels.of_cluster(name)),
        "spec": asked["spec"],
    }


def make_runner_pod(job: Manifest) -> Manifest:
    """Make the Pod that runs a DaskJob's own program.

    It does not start again by itself unless the user said so: its end is the end of the job.
    """
    name = job["metadata"]["name"]
    role = job["spec"]["job"]
    env = {"DASK_SCHEDULER_ADDRESS": scheduler_address(make_job_cluster(job))}
    spec = make_pod_spec(role["spec"], env=env, legacy_commands=False)
    return {
        **_identity(POD),
        "metadata": _make_metadata(
            names.job_runner(name), job, DASKJOB, role.get("metadata"), fixed=labels.of_job_runner(name)
        ),
        "spec": {"restartPolicy": "Never", **spec},
    }


def make_owner_reference(owner: Manifest, resource: Resource) -> Manifest:
    """Make the reference by which an object goes when its owner goes."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def scheduler_address(cluster: Manifest) -> str:
    """Return the address by which workers and runners find the scheduler.

    It carries no cluster domain: each Pod's resolver adds its own.
    """
    meta = cluster["metadata"]
    port = comm_port_of(_service_spec(cluster), "port")
    return f"tcp://{names.scheduler(meta['name'])}.{meta['namespace']}.svc:{port}"


def replicas_of(resource: Manifest) -> int:
    """Return how many workers a DaskCluster or DaskWorkerGroup asks for."""
    asked = resource["spec"]["worker"].get("replicas")
    return max(0, 1 if asked is None else int(asked))


def _service_spec(cluster: Manifest) -> Manifest:
    asked = cluster["spec"]["scheduler"].get("service") or {}
    defaults = {"type": "ClusterIP", "selector": labels.of_scheduler(cluster["metadata"]["name"])}
    return {**defaults, **{key: value for key, value in asked.items() if value not in (None, {}, "")}}


def _make_service(cluster: Manifest, name: str, spec: Manifest) -> Manifest:
    own = cluster["spec"]["scheduler"].get("metadata")
    fixed = labels.of_scheduler(cluster["metadata"]["name"])
    return {
        **_identity(SERVICE),
        "metadata": _make_metadata(name, cluster, DASKCLUSTER, own, fixed=fixed),
        "spec": spec,
    }


def _identity(resource: Resource) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def _make_metadata(
    name: str,
    owner: Manifest,
    resource: Resource,
    own: Manifest | None,
    *,
    fixed: Mapping[str, str],
) -> Manifest:
    own = own or {}
    return {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": {**_inherited(owner, "labels"), **(own.get("labels") or {}), **fixed},
        "annotations": {**_inherited(owner, "annotations"), **(own.get("annotations") or {})},
        "ownerReferences": [make_owner_reference(owner, resource)],
    }


def _inherited(owner: Manifest, field: str) -> dict[str, str]:
    given = owner["metadata"].get(field) or {}
    if field == "labels":
        return dict(given)
    return {key: value for key, value in given.items() if not key.startswith(PRIVATE_ANNOTATIONS)}
