"""The Secret of a secured cluster: what it is written as, and what stands in it."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import SECRET
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import Create, Issue, Patch
from dask_gpu_k8s.operator.security.renewal import issue


def contents(secret: Manifest) -> dict[str, bytes]:
    """Decode what a Secret holds; what is no base64 is empty."""
    return {key: _decode(text) for key, text in (secret.get("data") or {}).items()}


def write_secret(action: Issue, now: datetime) -> Create | Patch:
    """Make the certificates that are asked for, as a Secret to be created or a change of one."""
    meta, held = action.secret["metadata"], action.held
    # By its name, and not by that of the Secret, the certificate says whose it is.
    made = issue(meta["labels"][labels.CLUSTER_NAME], action.hosts, contents(held) if held else None, now)
    data = {key: base64.b64encode(value).decode() for key, value in made.items()}
    if held is None:
        return Create(SECRET, {**action.secret, "data": data})
    wish = (meta.get("annotations") or {}).get(labels.RENEW)
    changed = {
        "resourceVersion": held["metadata"]["resourceVersion"],
        **({"annotations": {labels.RENEW: wish}} if wish else {}),
    }
    return Patch(SECRET, meta["namespace"], meta["name"], {"metadata": changed, "data": data})


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
