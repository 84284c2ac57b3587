"""Resources as dask-kubernetes 2026.3.0 leaves them, on a real Kubernetes."""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.operator.objects.workers import make_default_group
from dask_gpu_k8s.operator.upstream.marks import FINALIZER
from tests.unit.operator.builders import a_cluster, ago, stored

HANDLED = {"kopf.zalando.org/last-handled-configuration": '{"spec": {}}\n'}
OWNER = {"apiVersion": "kubernetes.dask.org/v1", "blockOwnerDeletion": True, "controller": True}


def marked(obj: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    meta = obj["metadata"]
    annotations = {**(meta.get("annotations") or {}), **HANDLED}
    changed = {"annotations": annotations, "resourceVersion": "7", "creationTimestamp": ago(600)}
    return {**obj, "metadata": {**meta, **changed, **metadata}}


def a_marked_cluster(**status: Any) -> dict[str, Any]:
    return marked(a_cluster(**{"phase": "Running", **status}), finalizers=[FINALIZER])


def an_accepted_cluster() -> dict[str, Any]:
    """Return one that was ours before the other operator came."""
    return a_marked_cluster(conditions=[{"type": "Accepted", "status": "True", "reason": "Accepted"}])


def a_marked_group() -> dict[str, Any]:
    return marked(stored(make_default_group(a_cluster()), "u-group"))


def an_autoscaler() -> dict[str, Any]:
    spec = {"cluster": "foo", "minimum": 2, "maximum": 2}
    body = {"kind": "DaskAutoscaler", "metadata": {"name": "foo", "namespace": "ns", "uid": "u-scaler"}}
    return marked({**body, "spec": spec}, finalizers=[FINALIZER])


def a_deployment(name: str, component: str, *, paused: bool = False, observed: int = 1) -> dict[str, Any]:
    owner = "u-cluster" if component == labels.SCHEDULER else "u-group"
    spec = {"replicas": 1, **({"paused": True} if paused else {})}
    metadata = {
        "name": name,
        "namespace": "ns",
        "labels": _labels(component),
        "ownerReferences": [{**OWNER, "uid": owner}],
    }
    return stored(
        {"kind": "Deployment", "metadata": metadata, "spec": spec}, f"u-{name}", observedGeneration=observed
    )


def a_replicaset(deployment: dict[str, Any]) -> dict[str, Any]:
    meta = deployment["metadata"]
    metadata = {
        "name": f"{meta['name']}-7f6fd7f9db",
        "namespace": "ns",
        "labels": {**meta["labels"], "pod-template-hash": "7f6fd7f9db"},
        "ownerReferences": [{**OWNER, "kind": "Deployment", "uid": meta["uid"]}],
    }
    return stored({"kind": "ReplicaSet", "metadata": metadata, "spec": {}}, f"{meta['uid']}-set")


def a_free_pod(name: str, component: str) -> dict[str, Any]:
    """Return a Pod whose ReplicaSet has been deleted from above it."""
    own = {**_labels(component), "pod-template-hash": "7f6fd7f9db", "sidecar.istio.io/inject": "false"}
    metadata = {"name": name, "namespace": "ns", "labels": own}
    return stored({"kind": "Pod", "metadata": metadata, "spec": {}}, f"u-{name}", phase="Running")


def _labels(component: str) -> dict[str, str]:
    own = {labels.CLUSTER_NAME: "foo", labels.COMPONENT: component}
    return own if component == labels.SCHEDULER else {**own, labels.WORKERGROUP_NAME: "foo-default"}
