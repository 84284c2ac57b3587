"""Defaults and rules of the smaller built-in kinds.

Source: Kubernetes' API reference, page by page.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause
from dask_gpu_k8s.local.machinery.metadata import timestamp


def fill_namespace(namespace: Manifest, old: Manifest | None) -> Manifest:
    """Label a namespace with its name; its own finalizer is not an update's business."""
    meta = namespace["metadata"]
    labels = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta.get("name", "")}
    spec = old["spec"] if old else {"finalizers": ["kubernetes"]}
    return {**namespace, "metadata": {**meta, "labels": labels}, "spec": spec}


def start_namespace(namespace: Manifest) -> Manifest:
    """Give a new namespace its first status, and the label where its name was generated."""
    meta = namespace["metadata"]
    labels = {**meta["labels"], "kubernetes.io/metadata.name": meta["name"]}
    return {**namespace, "metadata": {**meta, "labels": labels}, "status": {"phase": "Active"}}


def fill_secret(secret: Manifest, _old: Manifest | None) -> Manifest:
    """Turn ``stringData`` into ``data``, which is what is stored."""
    filled = {"type": "Opaque", **{key: value for key, value in secret.items() if key != "stringData"}}
    plain = secret.get("stringData") or {}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
    if data or filled.get("data"):
        filled["data"] = {**(filled.get("data") or {}), **data}
    return filled


def check_secret(secret: Manifest, old: Manifest | None) -> list[Cause]:
    """Say what is wrong with a Secret."""
    causes = check_immutable(secret, old)
    if old and secret.get("type") != old.get("type"):
        causes.append(Cause("type", f'Invalid value: "{secret.get("type")}": field is immutable'))
    return causes


def check_immutable(obj: Manifest, old: Manifest | None) -> list[Cause]:
    """Refuse to change a ConfigMap or Secret that was declared immutable."""
    if not old or not old.get("immutable"):
        return []
    changed = [key for key in ("immutable", "data", "binaryData") if obj.get(key) != old.get(key)]
    text = "Forbidden: field is immutable when `immutable` is set"
    return [Cause(key, text, "FieldValueForbidden") for key in changed]


def check_event(event: Manifest, _old: Manifest | None) -> list[Cause]:
    """Say what is wrong with an Event: it lives in the namespace of what it is about."""
    about = (event.get("involvedObject") or {}).get("namespace") or ""
    own = event["metadata"].get("namespace") or about
    if about and about != own:
        text = f'Invalid value: "{about}": does not match event.namespace'
        return [Cause("involvedObject.namespace", text)]
    return []


def fill_network_policy(policy: Manifest, _old: Manifest | None) -> Manifest:
    """Say which way a policy counts, where it does not: inwards, and outwards if it speaks of that."""
    spec = {"podSelector": {}, **(policy.get("spec") or {})}
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return {**policy, "spec": spec}


def fill_lists(*fields: str) -> Any:
    """Make a filler that gives each named list its empty value, as typed clients expect."""

    def fill(obj: Manifest, _old: Manifest | None) -> Manifest:
        return {**obj, **{field: obj.get(field) or [] for field in fields}}

    return fill


def check_lease(lease: Manifest, _old: Manifest | None) -> list[Cause]:
    """Say what is wrong with a Lease."""
    seconds = (lease.get("spec") or {}).get("leaseDurationSeconds")
    if isinstance(seconds, int) and seconds <= 0:
        text = f"Invalid value: {seconds}: must be greater than 0"
        return [Cause("spec.leaseDurationSeconds", text)]
    return []


def allowed(review: Manifest) -> Manifest:
    """Answer a SelfSubjectAccessReview: whoever has the token may do everything."""
    reason = "this server checks no rights: whoever has its token may do everything"
    return {**review, "status": {"allowed": True, "reason": reason}}


def every_rule(review: Manifest) -> Manifest:
    """Answer a SelfSubjectRulesReview."""
    rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    paths = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    status = {"resourceRules": rules, "nonResourceRules": paths, "incomplete": False}
    return {**review, "status": status}


USER = "system:admin"


def who_am_i(review: Manifest) -> Manifest:
    """Answer a SelfSubjectReview: there is one user."""
    return {**review, "status": {"userInfo": {"username": USER, "groups": ["system:masters"]}}}


def due_events(events: list[Manifest], now: datetime, keep_seconds: int = 3600) -> list[Manifest]:
    """Find the Events that are older than the hour for which Kubernetes keeps them."""
    limit = timestamp(datetime.fromtimestamp(now.timestamp() - keep_seconds, now.tzinfo))
    return [
        event
        for event in events
        if max(event.get("lastTimestamp") or "", event["metadata"]["creationTimestamp"]) < limit
    ]
