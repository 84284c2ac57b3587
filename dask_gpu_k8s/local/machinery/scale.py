"""The scale subresource of custom kinds: an ``autoscaling/v1`` Scale as a view of an object.

Source: Kubernetes' documentation, "CustomResourceDefinitions: Scale subresource".
"""

from __future__ import annotations

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause, bad_request, conflict, invalid, stale
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.printing.jsonpath import get_in, with_value
from dask_gpu_k8s.local.printing.table import PLAIN

KIND = Kind(Resource("autoscaling", "v1", "scales", "Scale", "scale"), PLAIN, custom=True)
"""What a Scale itself is; it is never stored."""

_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(kind: Kind, obj: Manifest) -> Manifest:
    """Show an object as a Scale."""
    assert kind.scale is not None
    replicas = get_in(obj, kind.scale.spec_replicas)
    status: Manifest = {"replicas": get_in(obj, kind.scale.status_replicas) or 0}
    selector = get_in(obj, kind.scale.selector) if kind.scale.selector else None
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in _META if key in obj["metadata"]},
        "spec": {} if not replicas else {"replicas": replicas},
        "status": status,
    }


def rescaled(kind: Kind, obj: Manifest, wanted: Manifest) -> Manifest:
    """Return the merge patch that brings an object to a wanted Scale.

    Raises
    ------
    StatusError
        400 if it is no Scale, 409 if it is based on another version, 422 if the number is negative.
    """
    assert kind.scale is not None
    meta, name = wanted.get("metadata") or {}, obj["metadata"]["name"]
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if wanted.get("kind", "Scale") != "Scale" or not isinstance(replicas, int):
        raise bad_request("expected an autoscaling/v1 Scale with an integer spec.replicas")
    if meta.get("name", name) != name:
        raise bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
        )
    if meta.get("resourceVersion", obj["metadata"]["resourceVersion"]) != obj["metadata"]["resourceVersion"]:
        raise stale(kind.resource, name)
    if meta.get("uid", obj["metadata"]["uid"]) != obj["metadata"]["uid"]:
        raise conflict(kind.resource, name, f"Precondition failed: UID in precondition: {meta['uid']}")
    if replicas < 0:
        cause = Cause("spec.replicas", f"Invalid value: {replicas}: should be a non-negative integer")
        raise invalid(KIND.resource, name, [cause])
    return with_value({}, kind.scale.spec_replicas, replicas)
