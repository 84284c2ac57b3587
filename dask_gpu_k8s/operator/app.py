"""The operator as a whole: reflectors fill the cache and the queue, controllers empty the queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import (
    BUDGET,
    DASK_RESOURCES,
    DASKCLUSTER,
    DASKWORKERGROUP,
    NETWORKPOLICY,
    POD,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.client import ALL_NAMESPACES, KubeClient
from dask_gpu_k8s.kube.config import in_cluster
from dask_gpu_k8s.kube.reflector import Reflector
from dask_gpu_k8s.operator.engine.cache import LiveWorld, StoreCache
from dask_gpu_k8s.operator.engine.controller import Controller
from dask_gpu_k8s.operator.engine.duties import duties
from dask_gpu_k8s.operator.engine.executor import Executor
from dask_gpu_k8s.operator.engine.expectations import Expectations
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.engine.queue import LOW, NORMAL, WorkQueue
from dask_gpu_k8s.operator.engine.refusals import Refusals
from dask_gpu_k8s.operator.engine.reporter import Reporter
from dask_gpu_k8s.operator.engine.routes import concerned
from dask_gpu_k8s.operator.health import serve_health
from dask_gpu_k8s.operator.kinds import KINDS
from dask_gpu_k8s.operator.schedulers.api import SchedulerApi
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink
from dask_gpu_k8s.operator.settings import Settings

logger = logging.getLogger(__name__)


STOP_PATIENCE = 5.0
"""Seconds that runs get to end when the operator stops; whatever they leave half done is safe."""


class Operator:
    """The operator, ready to `run`.

    Parameters
    ----------
    kube : KubeClient
    settings : Settings
    """

    def __init__(self, kube: KubeClient, settings: Settings) -> None:
        self._settings = settings
        self._queue: WorkQueue[Key] = WorkQueue(time.monotonic, lambda: Backoff(0.1, maximum=60.0))
        self._expectations = Expectations(settings.expectation_timeout)
        self._refused = Refusals(time.monotonic)
        self._reflectors = {
            (resource, namespace): self._make_reflector(kube, resource, namespace)
            for namespace in settings.namespaces or (ALL_NAMESPACES,)
            for resource in (*DASK_RESOURCES, POD, SERVICE, BUDGET, NETWORKPOLICY)
        }
        self._cache = StoreCache({at: reflector.store for at, reflector in self._reflectors.items()})
        link = SchedulerLink(kube, direct=in_cluster(), timeout=settings.scheduler_timeout)
        self._schedulers = SchedulerApi(link, patience=settings.retire_patience)
        self.controller = Controller(
            {kind.name: kind for kind in KINDS},
            LiveWorld(
                self._cache,
                kube,
                self._schedulers,
                self._expectations,
                self._refused,
                home=kube.namespace if in_cluster() else "",
            ),
            Executor(kube, self._schedulers, self._expectations),
            Reporter(kube),
            self._refused,
            self._queue,
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
                await stack.enter_async_context(serve_health(self._settings.health_port, self))
            tasks = [asyncio.ensure_future(reflector.run()) for reflector in self._reflectors.values()]
            tasks += [asyncio.ensure_future(self._work()), asyncio.ensure_future(_until(stop))]
            stack.push_async_callback(_cancel, tasks)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    def stalled(self) -> list[str]:
        """Name the kinds whose watch has been silent for too long."""
        limit = time.monotonic() - self._settings.watch_stall_limit
        return sorted(
            {at[0].plural for at, reflector in self._reflectors.items() if reflector.last_contact < limit}
        )

    def unsynced(self) -> list[str]:
        """Name the kinds that have not been listed yet."""
        return sorted({at[0].plural for at, each in self._reflectors.items() if not each.synced.is_set()})

    async def _work(self) -> None:
        """Work once the cache is complete: decisions on half of it would be wrong ones."""
        await asyncio.gather(*(reflector.synced.wait() for reflector in self._reflectors.values()))
        logger.info("Ready; %d resources to look at", len(self._queue))
        workers = [asyncio.ensure_future(self.controller.work()) for _ in range(self._settings.reconcilers)]
        try:
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._queue.close()
            await asyncio.wait(workers, timeout=STOP_PATIENCE)
            await _cancel(workers)

    def _make_reflector(self, kube: KubeClient, resource: Resource, namespace: str) -> Reflector:
        def on_change(old: Manifest | None, new: Manifest | None) -> None:
            self._changed(resource, old, new, is_first=not reflector.synced.is_set())

        # Of Pods and Services only ours: a busy Kubernetes then costs nothing.
        selector = None if resource in DASK_RESOURCES else labels.CLUSTER_NAME
        reflector = Reflector(kube, resource, namespace=namespace, labels=selector, on_change=on_change)
        return reflector

    def _changed(
        self, resource: Resource, old: Manifest | None, new: Manifest | None, *, is_first: bool
    ) -> None:
        if resource == POD:
            self._expectations.shown(old, new)
            if old is not None and new is None:
                self._schedulers.forget(old["metadata"]["uid"])
        priority = LOW if is_first else NORMAL
        for obj in (old, new):
            for key in concerned(resource, obj) if obj else ():
                self._queue.add(key, priority=priority)
        for key in duties(resource, old, new):
            self._queue.add(key, priority=priority)
        if resource == DASKCLUSTER and _generation(old) != _generation(new):
            meta = (new or old or {})["metadata"]
            for group in self._cache.groups_of(meta["namespace"], meta["name"]):
                key = Key(DASKWORKERGROUP.kind, meta["namespace"], group["metadata"]["name"])
                self._queue.add(key, priority=priority)


def _generation(obj: Manifest | None) -> object:
    return obj["metadata"].get("generation") if obj else None


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
