"""The binding subresource of Pods: how a scheduler assigns one to a node."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import bad_request, conflict
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.metadata import timestamp


def node_of(sent: Any) -> str:
    """Read the node's name out of a Binding; StatusError 400 if there is none."""
    target = sent.get("target") if isinstance(sent, dict) else None
    if not isinstance(target, dict) or not target.get("name"):
        raise bad_request("a Binding names a node in target.name")
    return str(target["name"])


def bound(kind: Kind, pod: Manifest, node: str, now: datetime) -> Manifest:
    """Return a Pod assigned to a node, with its condition PodScheduled."""
    meta = pod["metadata"]
    if pod["spec"].get("nodeName"):
        text = f'pod {meta["name"]} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise conflict(kind.resource, meta["name"], text)
    if "deletionTimestamp" in meta:
        text = f"pod {meta['name']} is being deleted, cannot be assigned to a host"
        raise conflict(kind.resource, meta["name"], text)
    scheduled = {
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": timestamp(now),
    }
    others = [entry for entry in pod["status"].get("conditions") or () if entry["type"] != "PodScheduled"]
    return {
        **pod,
        "spec": {**pod["spec"], "nodeName": node},
        "status": {**pod["status"], "conditions": [*others, scheduled]},
    }
