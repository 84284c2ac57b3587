"""What happens by itself: garbage collection, ends of namespaces and CRDs, ageing of Events, usage of quotas.

It runs in the background, as on a real cluster, so nobody can come to rely on a deletion that is over when
the DELETE is answered.
"""

from __future__ import annotations

import asyncio
import logging

from dask_gpu_k8s.api.resources import CRD, EVENT, NAMESPACE, RESOURCEQUOTA
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.machinery import gc
from dask_gpu_k8s.local.machinery.crd import CLEANUP
from dask_gpu_k8s.local.machinery.graph import Graph
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.metadata import FOREGROUND, ORPHAN
from dask_gpu_k8s.local.machinery.options import DeleteOptions
from dask_gpu_k8s.local.machinery.quota import Quotas
from dask_gpu_k8s.local.machinery.simple_rules import due_events
from dask_gpu_k8s.local.machinery.store import Change, Table

log = logging.getLogger(__name__)

EVENTS_EVERY = 60.0


class Controllers:
    """The controllers of an Api; they do nothing until they are started."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._graph = Graph(api.store, self._touch)
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: dict[str, None] = {}
        """uids of namespaces and CRDs that are being emptied."""
        self._quotas = Quotas(api.store)
        api.store.listen(self._note_removal)
        api.store.listen(self._note_usage)

    def _touch(self, uid: str) -> None:
        self._due[uid] = None
        self._wake.set()

    def _note_removal(self, _table: Table, change: Change) -> None:
        """Look again at what waits to be empty: a removal may have made it so."""
        if change.type == "DELETED" and self._ending:
            for uid in tuple(self._ending):
                self._touch(uid)

    def _note_usage(self, _table: Table, change: Change) -> None:
        """Add up again what quotas limit."""
        for uid in self._quotas.concerned(change):
            self._touch(uid)

    def start(self) -> None:
        """Begin to work, in the running loop."""
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._age_events())]

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                self.step()
                await asyncio.sleep(0)  # let requests in between

    def step(self) -> bool:
        """Decide about one object that is due; returns whether there was one."""
        uid = next(iter(self._due), None)
        if uid is None:
            return False
        del self._due[uid]
        try:
            self._decide(uid)
        except StatusError as error:
            # It changed or went meanwhile; the change has put it on the list again.
            log.debug("garbage collector: %s", error)
        return True

    def _decide(self, uid: str) -> None:
        place, obj = self._graph.place(uid), self._graph.find(uid)
        if place is None or obj is None:
            self._ending.pop(uid, None)
            return
        kinds = self._api.registry.of_table(place.table)
        if not kinds:
            return
        verdict = gc.judge_dependent(obj, self._graph.owner)
        if verdict.action == "delete":
            self._delete(kinds[0], obj, verdict.propagation)
        elif verdict.new is not None:
            self._api.finish(kinds[0].resource, obj, verdict.new)
        elif "deletionTimestamp" in obj["metadata"]:
            self._end(kinds[0], obj)
        elif kinds[0].resource == RESOURCEQUOTA:
            self._api.finish(kinds[0].resource, obj, self._quotas.with_usage(obj))

    def _delete(self, kind: Kind, obj: Manifest, propagation: str | None) -> None:
        meta = obj["metadata"]
        if propagation == "Foreground" and not self._graph.dependents(meta["uid"]):
            propagation = "Background"
        options = DeleteOptions(uid=meta["uid"], propagation=propagation)
        self._api.remove(kind.resource, meta.get("namespace"), meta["name"], options)

    def _end(self, kind: Kind, obj: Manifest) -> None:
        """Do what an object that is being deleted waits for."""
        uid = obj["metadata"]["uid"]
        if gc.orphans(obj):
            for dependent in self._graph.dependents(uid):
                self._replace(dependent, gc.without_owner(dependent, uid))
            self._api.finish(kind.resource, obj, gc.without_finalizers(obj, [ORPHAN]))
        elif gc.deletes_first(obj):
            self._end_in_foreground(kind, obj)
        elif kind.resource == NAMESPACE:
            self._end_namespace(obj)
        elif kind.resource == CRD:
            self._end_crd(obj)

    def _replace(self, old: Manifest, new: Manifest) -> None:
        place = self._graph.place(old["metadata"]["uid"])
        if place:
            self._api.finish(self._api.registry.of_table(place.table)[0].resource, old, new)

    def _end_in_foreground(self, kind: Kind, obj: Manifest) -> None:
        uid = obj["metadata"]["uid"]
        dependents = self._graph.dependents(uid)
        for dependent in dependents:
            self._touch(dependent["metadata"]["uid"])
        if not any(gc.blocks(dependent, uid) for dependent in dependents):
            self._api.finish(kind.resource, obj, gc.without_finalizers(obj, [FOREGROUND]))

    def _end_namespace(self, namespace: Manifest) -> None:
        """Delete what is in a namespace; when nothing is left, take its finalizer off."""
        uid, name = namespace["metadata"]["uid"], namespace["metadata"]["name"]
        self._ending[uid] = None
        if self._empty(name) and namespace["spec"].get("finalizers"):
            spec = {key: value for key, value in namespace["spec"].items() if key != "finalizers"}
            self._api.finish(NAMESPACE, namespace, {**namespace, "spec": spec})

    def _empty(self, namespace: str) -> bool:
        """Ask every object of a namespace to go; returns whether there was none."""
        tables = {k.table: k for k in self._api.registry.all() if k.resource.namespaced and k.stored}
        found = [
            (kind, entry.obj)
            for table, kind in tables.items()
            for _, entry in self._api.store.entries(table, namespace)
        ]
        for kind, obj in found:
            if "deletionTimestamp" not in obj["metadata"]:
                self._delete(kind, obj, None)
        return not any(self._api.store.entries(table, namespace) for table in tables)

    def _end_crd(self, crd: Manifest) -> None:
        """Delete the objects of a CRD; when none is left, take its finalizer off."""
        self._ending[crd["metadata"]["uid"]] = None
        table = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        kinds = self._api.registry.of_table(table)
        for _, entry in self._api.store.entries(table):
            if kinds and "deletionTimestamp" not in entry.obj["metadata"]:
                self._delete(kinds[0], entry.obj, None)
        if not self._api.store.entries(table):
            self._api.finish(CRD, crd, gc.without_finalizers(crd, [CLEANUP]))

    async def _age_events(self) -> None:
        while True:
            await asyncio.sleep(EVENTS_EVERY)
            for event in due_events(self._api.list(EVENT), self._api.now()):
                meta = event["metadata"]
                self._api.delete(EVENT, meta["namespace"], meta["name"], uid=meta["uid"])
