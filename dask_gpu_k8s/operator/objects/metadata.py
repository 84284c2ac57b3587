"""What everything that the operator makes has in its metadata.

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

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest

PRIVATE_ANNOTATIONS = ("kubectl.kubernetes.io/", "kopf.zalando.org/", labels.OWN)
"""Prefixes of annotations with which a tool remembers something about the parent itself."""


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


def owned_too(obj: Manifest, owner: Manifest, resource: Resource) -> list[Manifest]:
    """Return an object's owner references and one more, which controls it if no other does.

    One to the same owner that is there already, perhaps half of what it should be, gives way.
    """
    reference = make_owner_reference(owner, resource)
    others = [
        each for each in obj["metadata"].get("ownerReferences") or () if each.get("uid") != reference["uid"]
    ]
    # Only one owner may be the controlling one.
    is_controlled = any(each.get("controller") for each in others)
    return [*others, {**reference, "controller": not is_controlled}]


def identity(resource: Resource) -> dict[str, Any]:
    """Begin a manifest of a kind."""
    return {"apiVersion": resource.api_version, "kind": resource.kind}


def make_metadata(
    name: str,
    owner: Manifest,
    resource: Resource,
    own: Manifest | None,
    *,
    fixed: Mapping[str, str],
) -> Manifest:
    """Make the metadata of a child of `owner`; `own` is its template's, `fixed` labels always win."""
    own = own or {}
    return {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": {**inherited(owner, "labels"), **(own.get("labels") or {}), **fixed},
        "annotations": {**inherited(owner, "annotations"), **(own.get("annotations") or {})},
        "ownerReferences": [make_owner_reference(owner, resource)],
    }


def inherited(owner: Manifest, field: str) -> dict[str, str]:
    """Return the labels or annotations that a child takes over."""
    given = owner["metadata"].get(field) or {}
    if field == "labels":
        return dict(given)
    return {key: value for key, value in given.items() if not key.startswith(PRIVATE_ANNOTATIONS)}
