"""The state that a run ends in, without what may differ: names drawn, times, addresses, numbers given out."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from tests.faults.laws import GROUPS

BESIDE = ("events", "leases", "namespaces", "serviceaccounts", "customresourcedefinitions", "nodes")
"""Plurals of kinds that are no part of the state."""

_DRAWN = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UID"),
    (re.compile(r"-worker-[0-9a-f]{10}\b"), "-worker-HEX"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+\b"), "ADDRESS"),
)
_NUMBERS = (
    "observedGeneration",
    "resourceVersion",
    "generation",
    "counter",
    "nodePort",
    "kubernetes.dask.org/failures",
)


def state_of(api: Api) -> list[str]:
    """Return every object as text, sorted."""
    kinds = {kind.table: kind for kind in api.registry.all() if kind.stored}
    objects = [
        entry.obj
        for table, kind in kinds.items()
        if kind.resource.plural not in BESIDE
        for _, entry in api.store.entries(table)
        if not is_orphan(api, entry.obj)
    ]
    return sorted(_text(obj) for obj in objects)


def is_orphan(api: Api, obj: Manifest) -> bool:
    """Say whether a Pod has no owner, and its group is gone: it stays, as after ``--cascade=orphan``.

    If its owner is stripped in the moment before the collector takes the group, nobody can tell that from it.
    """
    meta = obj["metadata"]
    group = (meta.get("labels") or {}).get(labels.WORKERGROUP_NAME)
    if obj["kind"] != "Pod" or meta.get("ownerReferences") or group is None:
        return False
    return api.store.get(GROUPS, (meta["namespace"], group)) is None


def difference(expected: list[str], found: list[str]) -> str:
    """Say how two states differ."""
    before, after = ("\n".join(state).splitlines() for state in (expected, found))
    return "\n".join(difflib.unified_diff(before, after, "fault-free", "found", n=2, lineterm=""))


def _text(obj: Manifest) -> str:
    status = obj.get("status") or {}
    if "observedGeneration" in status:
        is_current = status["observedGeneration"] == obj["metadata"].get("generation")
        obj = {**obj, "status": {**status, "isCurrent": is_current}}
    text = json.dumps(_plain(obj), indent=1, sort_keys=True)
    for pattern, word in _DRAWN:
        text = pattern.sub(word, text)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        plain = [_plain(item) for item in value]
        is_conditions = plain and all(isinstance(item, dict) and "type" in item for item in plain)
        return sorted(plain, key=lambda item: str(item["type"])) if is_conditions else plain
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _NUMBERS}
    return value
