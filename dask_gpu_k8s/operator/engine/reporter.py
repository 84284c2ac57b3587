"""Writes what was concluded: the status, only where it differs, and Events about transitions."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone
from typing import Any

from dask_gpu_k8s.api.conditions import format_time
from dask_gpu_k8s.api.resources import EVENT, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Conflict, KubeError, NotFound
from dask_gpu_k8s.operator.engine.actions import Conclusion, Note

logger = logging.getLogger(__name__)

COMPONENT = "dask-operator"


class Reporter:
    """Writes conclusions to the API server."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def report(self, resource: Resource, obj: Manifest, conclusion: Conclusion) -> bool:
        """Write what differs from the status in `obj`, then the Events.

        Returns
        -------
        bool
            ``False`` if the resource is not the one any more that the conclusion rests on.

        Raises
        ------
        KubeError
            If the status could not be written. Events are only tried.
        """
        changes = difference(obj.get("status") or {}, conclusion.status)
        meta = obj["metadata"]
        if changes:
            patch: Manifest = {"status": changes}
            if conclusion.version:
                patch["metadata"] = {"resourceVersion": conclusion.version}
            try:
                # Not strict: a definition that is older than we are lacks a field, and the rest still tells.
                await self._kube.patch(
                    resource, meta["name"], patch, meta["namespace"], sub="status", strict=False
                )
            except NotFound:
                return True
            except Conflict:
                return False
        await asyncio.gather(*(self._write_event(resource, obj, note) for note in conclusion.notes))
        return True

    async def _write_event(self, resource: Resource, obj: Manifest, note: Note) -> None:
        logger.info("%s: %s", note.reason, note.message)
        try:
            await self._kube.create(EVENT, make_event(resource, obj, note, datetime.now(timezone.utc)))
        except KubeError as error:
            # An Event is a courtesy; not every operator is allowed to write them.
            logger.debug("Event not written: %s", error)


def difference(old: Manifest, new: Manifest) -> dict[str, Any]:
    """Return those fields of `new` that differ from `old`; ``None`` is what is not there."""
    return {field: value for field, value in new.items() if old.get(field) != value}


def make_event(resource: Resource, obj: Manifest, note: Note, now: datetime) -> Manifest:
    """Make an Event about an object.

    Parameters
    ----------
    resource : Resource
        Kind of the object.
    obj : Manifest
        The object.
    note : Note
        What to say.
    now : datetime
        UTC.
    """
    namespace, name = _place(obj)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name}.", "namespace": namespace},
        "involvedObject": {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "namespace": namespace,
            "name": name,
            "uid": obj["metadata"]["uid"],
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:1024],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": format_time(now),
        "lastTimestamp": format_time(now),
        "count": 1,
    }


def _place(obj: Manifest) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
