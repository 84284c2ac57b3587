"""Schemas of Kubernetes' own kinds, from the OpenAPI documents of one Kubernetes version.

They lie in ``kubernetes.json``, without prose and with references between them (``scripts/make_crds.py
--extract`` writes it); here the references are resolved.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from dask_gpu_k8s.api.types import Manifest


@cache
def _document() -> Manifest:
    text = resources.files("dask_gpu_k8s.api").joinpath("kubernetes.json").read_text(encoding="utf-8")
    document: Manifest = json.loads(text)
    return document


def kubernetes_version() -> str:
    """Say the version of the Kubernetes that the schemas are from, e.g. ``"1.34.4"``."""
    return str(_document()["version"])


@cache
def builtin_schemas() -> dict[str, Manifest]:
    """Give the schemas of the built-in kinds, complete with ``apiVersion``, ``kind`` and ``metadata``.

    Returns
    -------
    dict
        By kind, e.g. ``"Pod"``. Of the two kinds called Event, ``"Event"`` is the core one and
        ``"Event.events.k8s.io"`` the other. Parts are shared between schemas: do not change them.
    """
    return {kind: definition(name) for kind, name in _document()["kinds"].items()}


@cache
def definition(name: str) -> Manifest:
    """Give the schema of one type, e.g. ``"PodSpec"``, references resolved. Shared: do not change it."""
    resolved: Manifest = _resolve(_document()["definitions"][name])
    return resolved


def _resolve(part: Any) -> Any:
    if isinstance(part, list):
        return [_resolve(item) for item in part]
    if not isinstance(part, dict):
        return part
    own = {key: _resolve(value) for key, value in part.items() if key != "$ref"}
    # A field may itself be called "$ref"; a reference is always text.
    if not isinstance(part.get("$ref"), str):
        return own
    target = definition(part["$ref"])
    return {**target, **own} if own else target
