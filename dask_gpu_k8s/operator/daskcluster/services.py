"""DaskCluster: its Services, and passing edits on to them."""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.resources import SERVICE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.engine.actions import Action, Create, Patch, patch_of
from dask_gpu_k8s.operator.objects.scheduler import make_cluster_ip_service, make_scheduler_service
from dask_gpu_k8s.operator.objects.templates import mark_of
from dask_gpu_k8s.operator.pods import is_terminating

REFUSED = "ServiceRefused"
"""Reason of the condition UpToDate that says: an edit cannot be applied to the Service that there is."""

RESET = (
    "allocateLoadBalancerNodePorts",
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "publishNotReadyAddresses",
    "sessionAffinity",
    "sessionAffinityConfig",
    "trafficDistribution",
)
"""Fields that go back to Kubernetes' default where an edit has taken them out; addresses stay."""


def plan_services(seen: Observed) -> list[Action]:
    """Make the Services that are missing."""
    return [Create(SERVICE, made) for made, there in _services(seen) if there is None]


def plan_service_edits(seen: Observed) -> list[Action]:
    """Apply an edit of the cluster to the Services that there are."""
    if is_refused(seen.cluster):
        return []
    return [
        _patch(there, made)
        for made, there in _services(seen)
        if there is not None
        and seen.is_own(there)
        and not is_terminating(there)
        and mark_of(there) != mark_of(made)
    ]


def _services(seen: Observed) -> list[tuple[Manifest, Manifest | None]]:
    return [
        (make_scheduler_service(seen.cluster), seen.service),
        (make_cluster_ip_service(seen.cluster), seen.cluster_ip_service),
    ]


def _patch(there: Manifest, made: Manifest) -> Patch:
    gone: dict[str, Any] = {
        field: None for field in RESET if field in there["spec"] and field not in made["spec"]
    }
    own = {field: made["metadata"][field] for field in ("labels", "annotations")}
    return patch_of(SERVICE, there, {"metadata": own, "spec": {**gone, **made["spec"]}})


def is_refused(cluster: Manifest) -> bool:
    """Say whether the API server has refused to apply this generation of the spec to a Service."""
    old = told(cluster, "UpToDate")
    is_told = old.get("status") == "False" and old.get("reason") == REFUSED
    return bool(is_told and old.get("observedGeneration") == cluster["metadata"].get("generation"))
