"""A live view of one DaskCluster and the Pods of its scheduler."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, EVENT, POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing
from dask_gpu_k8s.errors import ClusterNotFound
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden, KubeError
from dask_gpu_k8s.kube.reflector import Reflector
from dask_gpu_k8s.kube.urls import Selector
from dask_gpu_k8s.kube.within import within


class Lookout:
    """Watches one DaskCluster and the Pods of its scheduler; used with ``async with``.

    Parameters
    ----------
    kube : KubeClient
    cluster : Manifest
        The DaskCluster, as created or found.
    """

    def __init__(self, kube: KubeClient, cluster: Manifest) -> None:
        self.kube = kube
        self.name = str(cluster["metadata"]["name"])
        self.namespace = str(cluster["metadata"]["namespace"])
        self.where = f"DaskCluster {self.namespace}/{self.name}"
        self._uid = cluster["metadata"]["uid"]
        self._changed = asyncio.Event()
        self._clusters = self._follow(DASKCLUSTER, fields={"metadata.name": self.name})
        self._pods = self._follow(POD, labels=labels.of_scheduler(self.name))
        self._may_read_events = True
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []

    def _follow(
        self, resource: Resource, labels: Selector | None = None, fields: Selector | None = None
    ) -> Reflector:
        reflector = Reflector(
            self.kube,
            resource,
            namespace=self.namespace,
            labels=labels,
            fields=fields,
            on_change=lambda old, new: self._changed.set(),
        )
        reflector.on_refused = self._refuse
        return reflector

    def _refuse(self, error: Forbidden) -> None:
        """Let whoever waits for a change know that there will be none."""
        if not self._refused.done():
            self._refused.set_exception(error)
            self._refused.exception()  # Not everybody will look.
        self._changed.set()

    async def __aenter__(self) -> Lookout:
        reflectors = (self._clusters, self._pods)
        self._tasks = [asyncio.create_task(reflector.run()) for reflector in reflectors]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def synced(self) -> None:
        """Wait until there is something to see.

        Raises
        ------
        KubeError
            If the API server refuses to show it.
        """
        # A reflector tries for ever; asking once says what it would be refused.
        await self.kube.list(POD, self.namespace, labels=labels.of_scheduler(self.name), limit=1)
        synced = asyncio.gather(self._clusters.synced.wait(), self._pods.synced.wait())
        either: set[asyncio.Future[Any]] = {synced, self._refused}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            self._check_rights()
        finally:
            synced.cancel()
            await asyncio.gather(synced, return_exceptions=True)

    async def change(self, timeout: float) -> None:
        """Wait for something to change, for at most `timeout` seconds.

        Raises
        ------
        Forbidden
            If one is not allowed to see it.
        """
        with suppress(asyncio.TimeoutError):
            await within(max(timeout, 0), self._changed.wait())
        self._changed.clear()
        self._check_rights()

    def _check_rights(self) -> None:
        if self._refused.done():
            self._refused.result()

    @property
    def pods(self) -> list[Manifest]:
        """Pods with the scheduler's labels."""
        return self._pods.store.list()

    @property
    def cluster(self) -> Manifest:
        """The DaskCluster as it is.

        Raises
        ------
        ClusterNotFound
            If somebody has deleted it meanwhile.
        """
        found = self._clusters.store.get(self.namespace, self.name)
        if found is None or found["metadata"]["uid"] != self._uid:
            raise ClusterNotFound("it was deleted meanwhile", where=self.where)
        return found

    async def events(self, pod: Manifest) -> list[Manifest]:
        """Read the events about a Pod, as far as one is allowed to."""
        if not self._may_read_events:
            return []
        fields = {"involvedObject.kind": "Pod", "involvedObject.name": pod["metadata"]["name"]}
        try:
            found = await self.kube.list(EVENT, self.namespace, fields=fields)
        except Forbidden as error:
            self._may_read_events = False
            missing.tell(error)
            return []
        except KubeError:
            return []
        items: list[Manifest] = found["items"]
        return items
