"""DaskCluster: the objects that protect it, made and taken away as its spec says."""

from __future__ import annotations

from dask_gpu_k8s.api.resources import BUDGET, NETWORKPOLICY, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.engine.actions import Action, Create, delete_of, patch_of
from dask_gpu_k8s.operator.objects.protection import make_network_policy, make_scheduler_budget
from dask_gpu_k8s.operator.objects.templates import mark_of
from dask_gpu_k8s.operator.pods import is_terminating


def wants_budget(cluster: Manifest) -> bool:
    """Say whether evictions are to spare the scheduler; if nothing is said, they are."""
    return cluster["spec"]["scheduler"].get("podDisruptionBudget") is not False


def wants_policy(cluster: Manifest) -> bool:
    """Say whether the cluster is to be closed to others."""
    return bool(cluster["spec"].get("networkPolicy"))


def plan_budget(seen: Observed) -> list[Action]:
    """Make the scheduler's budget, or take it away."""
    if not wants_budget(seen.cluster):
        return _removal(BUDGET, seen, seen.budget)
    return [] if seen.budget is not None else [Create(BUDGET, make_scheduler_budget(seen.cluster))]


def plan_policy(seen: Observed) -> list[Action]:
    """Make the cluster's NetworkPolicy, pass edits on to it, or take it away."""
    there = seen.policy
    if not wants_policy(seen.cluster):
        return _removal(NETWORKPOLICY, seen, there)
    made = make_network_policy(seen.cluster, seen.home)
    if there is None:
        return [Create(NETWORKPOLICY, made)]
    if not seen.is_own(there) or is_terminating(there) or mark_of(there) == mark_of(made):
        return []
    patch = {"metadata": {"annotations": made["metadata"]["annotations"]}, "spec": made["spec"]}
    return [patch_of(NETWORKPOLICY, there, patch)]


def _removal(resource: Resource, seen: Observed, there: Manifest | None) -> list[Action]:
    if there is None or not seen.is_own(there) or is_terminating(there):
        return []
    return [delete_of(resource, there)]
