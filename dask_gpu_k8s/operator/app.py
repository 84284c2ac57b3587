"""The operator as a whole: reflectors fill the cache and the queue, controllers empty the queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

from dask_gpu_k8s.api.resources import (
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKWORKERGROUP,
    NODE,
    OWNERS,
    POD,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.config import in_cluster
from dask_gpu_k8s.operator.definitions import Definitions
from dask_gpu_k8s.operator.engine.cache import LiveWorld, StoreCache
from dask_gpu_k8s.operator.engine.controller import Controller
from dask_gpu_k8s.operator.engine.duties import duties
from dask_gpu_k8s.operator.engine.executor import Executor
from dask_gpu_k8s.operator.engine.expectations import Expectations
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.engine.nodes import Nodes, has_changed
from dask_gpu_k8s.operator.engine.queue import LOW, WorkQueue
from dask_gpu_k8s.operator.engine.refusals import Refusals
from dask_gpu_k8s.operator.engine.reporter import Reporter
from dask_gpu_k8s.operator.engine.routes import cluster_whose_groups_care, concerned
from dask_gpu_k8s.operator.following import Following, cancel
from dask_gpu_k8s.operator.gauges import cache_gauges, process_gauges
from dask_gpu_k8s.operator.health import serve_health
from dask_gpu_k8s.operator.kinds import KINDS
from dask_gpu_k8s.operator.leadership import lead
from dask_gpu_k8s.operator.metrics import Metrics
from dask_gpu_k8s.operator.prometheus import Gauge
from dask_gpu_k8s.operator.schedulers.api import SchedulerApi
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink
from dask_gpu_k8s.operator.settings import Settings
from dask_gpu_k8s.operator.shaping import Shaper, installed_plugins, read_defaults

logger = logging.getLogger(__name__)


STOP_PATIENCE = 5.0
"""Seconds that runs get to end when the operator stops; whatever they leave half done is safe."""

OWNER_KINDS = {owner.kind: owner for owner in OWNERS}

LONGEST_RETRY = 30.0
"""Seconds between tries of what keeps failing: once a fault is mended, all is well within a minute."""


class Operator:
    """The operator, ready to `run`.

    Parameters
    ----------
    kube : KubeClient
    settings : Settings

    Raises
    ------
    DefaultsError
        If the file of defaults cannot be used.
    """

    def __init__(self, kube: KubeClient, settings: Settings) -> None:
        self._kube = kube
        self._settings = settings
        self._is_working = False
        self._queue: WorkQueue[Key] = WorkQueue(time.monotonic, lambda: Backoff(0.1, maximum=LONGEST_RETRY))
        self._expectations = Expectations(settings.expectation_timeout)
        self._refused = Refusals(time.monotonic)
        self.following = Following(kube, settings, self._changed)
        stores = {at: reflector.store for at, reflector in self.following.reflectors.items()}
        self._cache = StoreCache(stores)
        link = SchedulerLink(kube, direct=in_cluster(), timeout=settings.scheduler_timeout)
        self._schedulers = SchedulerApi(link, patience=settings.retire_patience)
        defaults = read_defaults(settings.defaults) if settings.defaults else None
        self._shaper = Shaper(defaults, installed_plugins())
        self._definitions = Definitions(kube)
        self.metrics = Metrics([kind.name for kind in KINDS])
        self.metrics.show([*self._gauges(), *cache_gauges(self.following.reflectors), *process_gauges()])
        kube.on_call = self.metrics.called
        self.controller = Controller(
            {kind.name: kind for kind in KINDS},
            LiveWorld(
                self._cache,
                kube,
                self._schedulers,
                self._expectations,
                self._refused,
                Nodes(self.following.nodes),
                home=kube.namespace if in_cluster() else "",
                adopts=settings.adopt,
            ),
            Executor(kube, self._schedulers, self._expectations, self._shape),
            Reporter(kube),
            self._refused,
            self._queue,
            self.metrics,
            run_limit=settings.run_limit,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Look after the resources until `stop` is set, then end cleanly.

        Raises
        ------
        Exception
            If a part of the operator itself broke: then it is better started again.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._schedulers.close)
            if self._settings.health_port:
                page = serve_health(self._settings.health_port, self.following, self.metrics.page)
                await stack.enter_async_context(page)
            following = asyncio.ensure_future(self.following.run())
            working = asyncio.ensure_future(self._lead(stop))
            looking = asyncio.ensure_future(self._definitions.watch())
            stack.push_async_callback(cancel, [working, following, looking])
            done, _ = await asyncio.wait({following, working}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _lead(self, stop: asyncio.Event) -> None:
        if self._settings.lease is None:
            await self._work(stop)
            return

        async def work() -> None:
            # What the leader before us did last may not have reached us yet: it would be done again.
            self.following.begin_anew()
            await self._work(stop)

        lease, duration = self._settings.lease, self._settings.lease_duration
        await lead(self._kube, lease, duration, work, stop=stop, lost=self.metrics.losses.add)

    async def _work(self, stop: asyncio.Event) -> None:
        """Work once the cache is complete: decisions on half of it would be wrong ones."""
        stopping = asyncio.ensure_future(stop.wait())
        complete = asyncio.ensure_future(self.following.complete())
        tasks: list[asyncio.Future[None]] = [complete]
        try:
            await asyncio.wait({stopping, complete}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                return
            self._begin()
            count = self._settings.reconcilers
            workers = [asyncio.ensure_future(self.controller.work()) for _ in range(count)]
            tasks += workers
            await asyncio.wait({stopping, *workers}, return_when=asyncio.FIRST_COMPLETED)
            self._queue.close()
            done, _ = await asyncio.wait(workers, timeout=STOP_PATIENCE)
            for worker in done:
                worker.result()
        finally:
            self._is_working = False
            stopping.cancel()
            await cancel(tasks)

    def _begin(self) -> None:
        """Look at everything; less urgently than at what changes from now on."""
        self._is_working = True
        for resource, obj in self.following:
            for key in self._keys(resource, None, obj):
                self._queue.add(key, priority=LOW)
        logger.info("Ready; %d resources to look at", len(self._queue))

    def _changed(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> None:
        if resource == POD:
            self._expectations.shown(old, new)
            if old is not None and new is None:
                self._schedulers.forget(old["metadata"]["uid"])
        if self._is_working:
            for key in self._keys(resource, old, new):
                self._queue.add(key)

    def _keys(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> Iterator[Key]:
        """Return the keys of all that may have to do with a change."""
        if resource == NODE:
            pods = (
                self._cache.pods_on((new or old or {})["metadata"]["name"]) if has_changed(old, new) else ()
            )
            for pod in pods:
                yield from concerned(POD, pod)
            return
        for obj in (old, new):
            yield from concerned(resource, obj) if obj else ()
        yield from duties(resource, old, new)
        if resource in (DASKCLUSTER, DASKWORKERGROUP, DASKAUTOSCALER) and _interest(old) != _interest(new):
            obj = new or old or {}
            meta = obj["metadata"]
            name = meta["name"] if resource == DASKCLUSTER else obj["spec"]["cluster"]
            for each in self._cache.autoscalers_of(meta["namespace"], name):
                yield Key(DASKAUTOSCALER.kind, meta["namespace"], each["metadata"]["name"])
        namespace, cluster = cluster_whose_groups_care(resource, old, new)
        for group in self._cache.groups_of(namespace, cluster) if cluster else ():
            yield Key(DASKWORKERGROUP.kind, namespace, group["metadata"]["name"])

    def _shape(self, planned: Manifest) -> Manifest:
        meta = planned["metadata"]
        for one in meta.get("ownerReferences") or ():
            if one.get("controller") and one["kind"] in OWNER_KINDS:
                owner = self._cache.get(OWNER_KINDS[one["kind"]], meta["namespace"], one["name"])
                return self._shaper.shape(planned, owner or {})
        return self._shaper.shape(planned, {})

    def _gauges(self) -> list[Gauge]:
        return [
            Gauge("dask_operator_definition_outdated", "1 if it is missing or older than the operator.",
                  lambda: {(kind,): float(old) for kind, old in self._definitions.outdated.items()}, "kind"),
            Gauge("dask_operator_leading", "1 while this process works, 0 while another one does.",
                  lambda: {(): float(self._is_working)}),
            Gauge("dask_operator_queue_depth", "Resources that wait to be looked at.",
                  lambda: {(): float(self._queue.due()[0])}),
            Gauge("dask_operator_queue_age_seconds", "How long the first of them has waited.",
                  lambda: {(): self._queue.due()[1]}),
            Gauge("dask_operator_api_calls_in_flight", "Requests to the API server under way.",
                  lambda: {(): float(self._kube.limits.under_way)}),
        ]  # fmt: skip


def _interest(obj: Manifest | None) -> object:
    """Return what autoscalers go by: the specification, and whether the scheduler runs."""
    return obj and (obj["metadata"].get("generation"), (obj.get("status") or {}).get("phase"))
