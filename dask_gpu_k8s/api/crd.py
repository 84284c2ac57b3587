"""Make the CustomResourceDefinitions of our four kinds.

The fields of our own stand in `customfields`; here they get what Kubernetes wants around them.
"""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api import customfields as fields
from dask_gpu_k8s.api.resources import (
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest

_SCALE = {
    "specReplicasPath": ".spec.worker.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}

_AGE = ("Age", "date", ".metadata.creationTimestamp")
_COLUMNS: dict[Resource, list[tuple[str, str, str]]] = {
    DASKCLUSTER: [
        ("Workers", "integer", ".status.desiredWorkers"),
        ("Ready", "integer", ".status.readyWorkers"),
        ("Pending", "integer", ".status.pendingWorkers"),
        ("Status", "string", ".status.phase"),
        _AGE,
    ],
    DASKWORKERGROUP: [
        ("Cluster", "string", ".spec.cluster"),
        ("Workers", "integer", ".spec.worker.replicas"),
        ("Ready", "integer", ".status.readyReplicas"),
        ("Pending", "integer", ".status.pendingReplicas"),
        ("Unschedulable", "integer", ".status.unschedulableReplicas"),
        ("Updated", "integer", ".status.updatedReplicas"),
        ("Status", "string", ".status.phase"),
        _AGE,
    ],
    DASKJOB: [
        ("Status", "string", ".status.jobStatus"),
        ("Workers", "integer", ".spec.cluster.spec.worker.replicas"),
        ("Failed", "integer", ".status.failed"),
        ("Reason", "string", ".status.reason"),
        _AGE,
    ],
    DASKAUTOSCALER: [
        ("Cluster", "string", ".spec.cluster"),
        ("Group", "string", ".status.workerGroup"),
        ("Minimum", "integer", ".spec.minimum"),
        ("Maximum", "integer", ".spec.maximum"),
        ("Desired", "integer", ".status.desiredReplicas"),
        _AGE,
    ],
}
_WIDE: dict[Resource, list[tuple[str, str, str]]] = {
    DASKCLUSTER: [
        ("Unschedulable", "integer", ".status.unschedulableWorkers"),
        ("Restarts", "integer", ".status.schedulerRestarts"),
        ("Scheduler", "string", ".status.schedulerAddress"),
        ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
        ("Message", "string", '.status.conditions[?(@.type=="WorkersReady")].message'),
    ],
}
"""Columns of ``kubectl get -o wide`` alone."""


def make_crds() -> list[Manifest]:
    """Make the four CustomResourceDefinitions, new objects at each call."""
    return [
        make_crd(DASKCLUSTER, fields.cluster()),
        make_crd(DASKWORKERGROUP, fields.worker_group()),
        make_crd(DASKJOB, fields.job()),
        make_crd(DASKAUTOSCALER, fields.autoscaler()),
    ]


def make_crd(resource: Resource, schema: Manifest) -> Manifest:
    """Wrap the schema of a kind into its CustomResourceDefinition."""
    subresources: Manifest = {"status": {}}
    if "scale" in resource.subresources:
        subresources["scale"] = dict(_SCALE)
    version: Manifest = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            *({"name": name, "type": kind, "jsonPath": path} for name, kind, path in _COLUMNS[resource]),
            *(
                {"name": name, "type": kind, "jsonPath": path, "priority": 1}
                for name, kind, path in _WIDE.get(resource, ())
            ),
        ],
        "subresources": subresources,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.full_name},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": _names(resource),
            "versions": [version],
        },
    }


def _names(resource: Resource) -> Manifest:
    names: dict[str, Any] = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
    }
    if resource.short:
        names["shortNames"] = list(resource.short)
    return names
