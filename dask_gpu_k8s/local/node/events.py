"""Events about what happens on the node; the same thing happening again is counted, not repeated."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timezone

from dask_gpu_k8s.api.resources import EVENT
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.node.status import timestamp

_REMEMBERED = 4096
_numbers = itertools.count(time.time_ns())


class Events:
    """Writes Events for one component.

    Parameters
    ----------
    api : Api
    component : str
        Who speaks, e.g. ``"kubelet"``.
    node : str
        Name of the node, for ``source.host``; empty for those that speak for no node.
    """

    def __init__(self, api: Api, component: str, node: str = "") -> None:
        self._api = api
        self._component = component
        self._node = node
        self._known: OrderedDict[tuple[str, ...], tuple[str, int]] = OrderedDict()

    def normal(self, about: Manifest, reason: str, message: str, field: str = "") -> None:
        """Say that something happened as it should."""
        self._write("Normal", about, reason, message, field)

    def warning(self, about: Manifest, reason: str, message: str, field: str = "") -> None:
        """Say that something went wrong."""
        self._write("Warning", about, reason, message, field)

    def _write(self, kind: str, about: Manifest, reason: str, message: str, field: str) -> None:
        key = (about["metadata"]["uid"], kind, reason, message, field)
        known = self._known.get(key)
        namespace = about["metadata"].get("namespace") or "default"
        try:
            if known:
                name, count = known[0], known[1] + 1
                changes = {"count": count, "lastTimestamp": timestamp(datetime.now(timezone.utc))}
                self._api.patch(EVENT, namespace, name, changes)
            else:
                name, count = f"{about['metadata']['name']}.{next(_numbers):x}", 1
                event = self._event(kind, about, reason, message, field)
                event["metadata"] = {"name": name, "namespace": namespace}
                self._api.create(EVENT, namespace, event)
        except StatusError as error:
            # The namespace is going, or somebody deleted the event: neither may stop a Pod.
            if error.code not in (403, 404, 409):
                raise
            self._known.pop(key, None)
            return
        self._known[key] = (name, count)
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _event(self, kind: str, about: Manifest, reason: str, message: str, field: str) -> Manifest:
        now = timestamp(datetime.now(timezone.utc))
        source: Mapping[str, str] = {"component": self._component}
        involved = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": about["metadata"]["name"],
            "namespace": about["metadata"].get("namespace") or "",
            "uid": about["metadata"]["uid"],
            "resourceVersion": about["metadata"].get("resourceVersion", ""),
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "involvedObject": {**involved, "fieldPath": field} if field else involved,
            "source": {**source, "host": self._node} if self._node else source,
            "reportingComponent": self._component,
            "reportingInstance": self._node,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
