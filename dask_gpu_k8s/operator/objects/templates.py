"""What an object was made from, as a short mark on it, so that an edit of its template is noticed.

Contents are never compared: the API server fills in defaults and webhooks change what they like, and neither
is an edit.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest


def fingerprint(*parts: Any) -> str:
    """Return a short text that differs where any of the parts, plain JSON data, differs."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def marked_with(made: Manifest, mark: str) -> Manifest:
    """Return a new manifest that carries the mark of its template."""
    metadata = made["metadata"]
    annotations = {**(metadata.get("annotations") or {}), labels.TEMPLATE: mark}
    return {**made, "metadata": {**metadata, "annotations": annotations}}


def mark_of(obj: Manifest) -> str | None:
    """Return the mark of the template that an object was made from, or last brought in line with."""
    mark = (obj["metadata"].get("annotations") or {}).get(labels.TEMPLATE)
    return None if mark is None else str(mark)


def difference(old: Any, new: Any) -> Any:
    """Return the JSON merge patch that makes `new` of `old`: what only `old` has becomes null."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone: dict[str, Any] = {key: None for key in old if key not in new}
    changed = {key: difference(old.get(key), value) for key, value in new.items() if old.get(key) != value}
    return {**gone, **changed}
