"""What is written on a resource that has the marks of dask-kubernetes' operator, and taking them off."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import told, with_conditions
from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import Patch, patch_of
from dask_gpu_k8s.operator.upstream.marks import is_marked, without_marks

OTHER = "OtherOperator"
"""Reason of a condition that says: dask-kubernetes' operator has to do with it."""


def refusal(resource: Resource, obj: Manifest) -> str:
    """Say why a resource is left alone, and what to do."""
    return (
        f"dask-kubernetes' operator looks after this {resource.kind}, so it is left alone. To take it over, "
        f"stop that operator, then: {_command(resource, obj)}"
    )


def warning(resource: Resource, obj: Manifest) -> str:
    """Say that another operator acts on what we look after."""
    return (
        f"dask-kubernetes' operator acts on this {resource.kind} as well, and makes Deployments of its own. "
        f"Stop it, then: {_command(resource, obj)}"
    )


def say(
    resource: Resource, obj: Manifest, type_: str, status: str, message: str, now: datetime
) -> Patch | None:
    """Write a condition down, unless it stands there."""
    old = told(obj, type_)
    if (old.get("status"), old.get("reason"), old.get("message")) == (status, OTHER, message):
        return None
    conditions = with_conditions(obj, {type_: (status, OTHER, message)}, now)
    return patch_of(resource, obj, {"status": {"conditions": conditions}}, "status", unchanged=True)


def strip(resource: Resource, objs: Iterable[Manifest]) -> list[Patch]:
    """Take the marks off those that have any."""
    return [patch_of(resource, obj, without_marks(obj), unchanged=True) for obj in objs if is_marked(obj)]


def _command(resource: Resource, obj: Manifest) -> str:
    return f"kubectl annotate {resource.singular} {obj['metadata']['name']} {labels.ADOPT}=true"
