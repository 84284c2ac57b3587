"""Binds Pods to the only node, or says why not."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from decimal import Decimal

from dask_gpu_k8s.api.resources import NODE, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.node.events import Events
from dask_gpu_k8s.local.node.fit import why_unschedulable
from dask_gpu_k8s.local.node.mirror import Mirror
from dask_gpu_k8s.local.node.resources import Amounts, add_up, pod_requests
from dask_gpu_k8s.local.node.status import timestamp

NAME = "default-scheduler"


class Scheduler:
    """Tries every Pod that waits for a node when it comes, and again when something is freed.

    Parameters
    ----------
    api : Api
    pods, nodes : Mirror
    node : str
        Name of the node.
    """

    def __init__(self, api: Api, pods: Mirror, nodes: Mirror, node: str) -> None:
        self._api = api
        self._pods = pods
        self._node = node
        self._events = Events(api, NAME)
        self._due = asyncio.Event()
        self._waiting: dict[tuple[str, str], Manifest] = {}
        self._told: dict[str, str] = {}
        self._assigned: dict[str, Amounts] = {}
        self._fresh: dict[tuple[str, str], None] = {}
        pods.watch(self._pod_changed)
        nodes.watch(lambda _old, _new: self._retry())

    async def run(self) -> None:
        """Schedule until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            fresh, self._fresh = self._fresh, {}
            for key in sorted(fresh, key=self._rank):
                if key in self._waiting:
                    self._schedule(self._waiting[key])
                # Thousands of Pods may come at once: others get their turn between them.
                await asyncio.sleep(0)

    def _rank(self, key: tuple[str, str]) -> tuple[int, str]:
        pod = self._waiting.get(key)
        if pod is None:
            return 0, ""
        return -(pod["spec"].get("priority") or 0), pod["metadata"]["creationTimestamp"]

    def _pod_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        pod = new or old
        assert pod is not None
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        if new is not None and _wants_a_node(new):
            known = key in self._waiting
            self._waiting[key] = new
            if not known:
                self._try_soon(key)
            return
        if self._waiting.pop(key, None):
            self._told.pop(pod["metadata"]["uid"], None)
        self._count(pod, gone=new is None)

    def _count(self, pod: Manifest, *, gone: bool) -> None:
        """Keep account of who takes part of the node; a Pod that takes no more makes room for others."""
        uid = pod["metadata"]["uid"]
        phase = (pod.get("status") or {}).get("phase")
        if pod["spec"].get("nodeName") == self._node and not gone and phase not in ("Succeeded", "Failed"):
            if uid not in self._assigned:
                self._assigned[uid] = _share(pod)
        elif self._assigned.pop(uid, None):
            self._retry()

    def _try_soon(self, key: tuple[str, str]) -> None:
        self._fresh[key] = None
        self._due.set()

    def _retry(self) -> None:
        for key in self._waiting:
            self._try_soon(key)

    def _schedule(self, pod: Manifest) -> None:
        try:
            node = self._api.get(NODE, None, self._node)
            why = why_unschedulable(pod, node, add_up(self._assigned.values()))
            if why is None:
                self._bind(pod)
            else:
                self._tell(pod, why)
        except StatusError as error:
            # The Pod was deleted or changed meanwhile: the change itself brings it here again.
            if error.code not in (404, 409):
                raise

    def _bind(self, pod: Manifest) -> None:
        meta = pod["metadata"]
        self._api.bind(meta["namespace"], meta["name"], self._node)
        self._assigned[meta["uid"]] = _share(pod)
        self._waiting.pop((meta["namespace"], meta["name"]), None)
        self._events.normal(
            pod,
            "Scheduled",
            f"Successfully assigned {meta['namespace']}/{meta['name']} to {self._node}",
        )

    def _tell(self, pod: Manifest, why: str) -> None:
        meta = pod["metadata"]
        if self._told.get(meta["uid"]) == why:
            return
        self._told[meta["uid"]] = why
        conditions = [
            condition
            for condition in (pod.get("status") or {}).get("conditions") or []
            if condition["type"] != "PodScheduled"
        ]
        refused = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(datetime.now(timezone.utc)),
            "reason": "Unschedulable",
            "message": why,
        }
        status = {"status": {"phase": "Pending", "conditions": [*conditions, refused]}}
        self._api.patch(POD, meta["namespace"], meta["name"], status, sub="status")
        self._events.warning(pod, "FailedScheduling", why)


def _share(pod: Manifest) -> Amounts:
    """Return what a Pod takes of its node."""
    return {**pod_requests(pod), "pods": Decimal(1)}


def _wants_a_node(pod: Manifest) -> bool:
    spec = pod["spec"]
    if spec.get("nodeName") or pod["metadata"].get("deletionTimestamp") or spec.get("schedulingGates"):
        return False
    return (spec.get("schedulerName") or NAME) == NAME
