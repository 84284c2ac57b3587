"""A node for which a Pod need only look as if it ran."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.machinery.metadata import timestamp
from dask_gpu_k8s.local.machinery.store import Change, Table
from tests.faults import clock
from tests.faults.dask import Dask

SCHEDULING, STARTING, ENDING = 0.05, 0.2, 0.3
"""Seconds."""

RUNS, EXITS = "faults/runs", "faults/exits"
"""Annotations of a Pod that ends by itself: after how many seconds, and with which codes, first to last."""


class Kubelet:
    """Schedules and runs Pods, and ends them when they are deleted."""

    def __init__(self, api: Api, dask: Dask) -> None:
        self._api = api
        self._dask = dask
        self._addresses: dict[str, str] = {}
        self._ends: Counter[str] = Counter()
        api.store.listen(self._note)

    def _note(self, table: Table, change: Change) -> None:
        if table != ("", "pods"):
            return
        pod = change.new.obj
        if change.type == "DELETED":
            self._dask.ended(pod["metadata"]["uid"])
        elif change.type == "ADDED":
            self._after(SCHEDULING, self._schedule, pod)
        elif "deletionTimestamp" in pod["metadata"] and "deletionTimestamp" not in _meta(change.old):
            self._after(min(ENDING, pod["metadata"]["deletionGracePeriodSeconds"]), self._end, pod)

    def _after(self, seconds: float, act: Any, pod: Manifest) -> None:
        meta = pod["metadata"]
        args = (act, meta["namespace"], meta["name"], meta["uid"])
        asyncio.get_running_loop().call_later(seconds, self._try, *args)

    def _try(self, act: Any, namespace: str, name: str, uid: str) -> None:
        try:
            pod = self._api.get(POD, namespace, name)
        except StatusError:
            return
        if pod["metadata"]["uid"] == uid:
            act(pod)

    def _schedule(self, pod: Manifest) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        self._api.bind(pod["metadata"]["namespace"], pod["metadata"]["name"], "node")
        self._after(STARTING, self._start, pod)

    def _start(self, pod: Manifest) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        if "bad" in pod["spec"]["containers"][0]["image"]:
            waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
            self._tell(pod, "Pending", waiting, ready=False)
            return
        address = f"10.0.{len(self._addresses) // 250}.{len(self._addresses) % 250 + 1}"
        self._addresses[pod["metadata"]["uid"]] = address
        running = {"running": {"startedAt": timestamp(clock.utc_now())}}
        self._dask.started(self._tell(pod, "Running", running, ready=True))
        runs = (pod["metadata"].get("annotations") or {}).get(RUNS)
        if runs and pod["spec"]["containers"][0]["name"] == "job":
            self._after(float(runs), self._finish, pod)

    def _finish(self, pod: Manifest) -> None:
        """Let a Pod end by itself."""
        codes = pod["metadata"]["annotations"][EXITS].split(",")
        name = pod["metadata"]["name"]
        code = int(codes[min(self._ends[name], len(codes) - 1)])
        self._ends[name] += 1
        self.end_by_itself(pod, code)

    def end_by_itself(self, pod: Manifest, code: int) -> None:
        """Let the only container of a Pod end with an exit code."""
        ended = {"terminated": {"exitCode": code, "finishedAt": timestamp(clock.utc_now()), "reason": "x"}}
        self._dask.ended(pod["metadata"]["uid"])
        self._tell(pod, "Failed" if code else "Succeeded", ended, ready=False)

    def _end(self, pod: Manifest) -> None:
        self._dask.ended(pod["metadata"]["uid"])
        self._api.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"], grace_seconds=0)

    def _tell(self, pod: Manifest, phase: str, state: Manifest, *, ready: bool) -> Manifest:
        container = pod["spec"]["containers"][0]
        about = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
        conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
        conditions.append({"type": "PodScheduled", "status": "True"})
        status: Manifest = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{**about, "ready": ready, "state": state}],
        }
        address = self._addresses.get(pod["metadata"]["uid"])
        if address:
            status.update(podIP=address, podIPs=[{"ip": address}])
        meta = pod["metadata"]
        return self._api.patch(POD, meta["namespace"], meta["name"], {"status": status}, sub="status")


def _meta(entry: Any) -> Manifest:
    meta: Manifest = entry.obj["metadata"] if entry else {}
    return meta
