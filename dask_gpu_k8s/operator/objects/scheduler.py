"""The scheduler Pod and the Services in front of it."""

from __future__ import annotations

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, POD, SERVICE
from dask_gpu_k8s.api.security import scheme
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.containers import comm_port_of, make_pod_spec
from dask_gpu_k8s.operator.objects.metadata import identity, make_metadata
from dask_gpu_k8s.operator.objects.preload import with_preload
from dask_gpu_k8s.operator.objects.security import SCHEDULER_VARIABLES, secure, security_mark
from dask_gpu_k8s.operator.objects.templates import fingerprint, marked_with

GRACE_SECONDS = 10
"""Seconds that a scheduler gets to end unless the user says otherwise; it has nothing to save, and may wait
for workers that end as well (up to 30 s, seen in 2025.2.0 and 2026.8.0)."""


def make_scheduler_pod(cluster: Manifest) -> Manifest:
    """Make the Pod of a cluster's scheduler."""
    name = cluster["metadata"]["name"]
    role = cluster["spec"]["scheduler"]
    metadata = make_metadata(
        names.scheduler(name), cluster, DASKCLUSTER, role.get("metadata"), fixed=labels.of_scheduler(name)
    )
    # The whole cluster's work depends on it: no autoscaler shall move it to save a node.
    metadata["annotations"] = {labels.SAFE_TO_EVICT: "false", **metadata["annotations"]}
    # Others speak what the scheduler speaks, and it what the spec asks for, whatever one before it spoke.
    asked = {**cluster, "status": {}}
    spec = secure(asked, with_preload(make_pod_spec(role["spec"])), SCHEDULER_VARIABLES)
    spec = {"terminationGracePeriodSeconds": GRACE_SECONDS, **spec}
    made = {**identity(POD), "metadata": metadata, "spec": spec}
    return marked_with(made, fingerprint(role["spec"], role.get("metadata") or {}, *security_mark(asked)))


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
    shared = {field: asked[field] for field in ("selector", "publishNotReadyAddresses")}
    spec = {"type": "ClusterIP", **shared, "ports": ports}
    return _make_service(cluster, names.cluster_ip_service(name), spec)


def scheduler_address(cluster: Manifest) -> str:
    """Return the address by which workers and runners find the scheduler.

    It carries no cluster domain: each Pod's resolver adds its own.
    """
    meta = cluster["metadata"]
    port = comm_port_of(_service_spec(cluster), "port")
    return f"{scheme(cluster)}://{names.scheduler(meta['name'])}.{meta['namespace']}.svc:{port}"


def _service_spec(cluster: Manifest) -> Manifest:
    asked = cluster["spec"]["scheduler"].get("service") or {}
    defaults = {
        "type": "ClusterIP",
        "selector": labels.of_scheduler(cluster["metadata"]["name"]),
        # There is no other scheduler to turn to: workers shall reach it as soon as it listens, and also when
        # it is too busy to answer a probe in time.
        "publishNotReadyAddresses": True,
    }
    return {**defaults, **{key: value for key, value in asked.items() if value not in (None, {}, "")}}


def _make_service(cluster: Manifest, name: str, spec: Manifest) -> Manifest:
    own = cluster["spec"]["scheduler"].get("metadata")
    fixed = labels.of_scheduler(cluster["metadata"]["name"])
    made = {
        **identity(SERVICE),
        "metadata": make_metadata(name, cluster, DASKCLUSTER, own, fixed=fixed),
        "spec": spec,
    }
    return marked_with(made, fingerprint(spec, own or {}))
