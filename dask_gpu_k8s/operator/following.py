"""All that the operator follows: a reflector for each kind and namespace, and how they fare."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import (
    BUDGET,
    DASK_RESOURCES,
    NETWORKPOLICY,
    NODE,
    POD,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import ALL_NAMESPACES, KubeClient
from dask_gpu_k8s.kube.reflector import Reflector
from dask_gpu_k8s.operator.engine.nodes import trim_node
from dask_gpu_k8s.operator.engine.trim import trim
from dask_gpu_k8s.operator.settings import Settings

FOLLOWED = (*DASK_RESOURCES, POD, SERVICE, BUDGET, NETWORKPOLICY)

OnChange: TypeAlias = Callable[[Resource, Manifest | None, Manifest | None], None]
"""Called with a kind and one of its objects as it was and as it is."""


class Following:
    """The reflectors.

    Parameters
    ----------
    kube : KubeClient
    settings : Settings
    on_change : callable

    Attributes
    ----------
    reflectors : dict
        By kind and namespace.
    nodes : Reflector, optional
        Only in an operator for all namespaces, which may read them. Nothing waits for it: should it not be
        let, the operator does without.
    """

    def __init__(self, kube: KubeClient, settings: Settings, on_change: OnChange) -> None:
        self._stall_limit = settings.watch_stall_limit
        self._again = asyncio.Event()
        self.reflectors = {
            (resource, namespace): _reflector(kube, settings, resource, namespace, on_change)
            for namespace in settings.namespaces or (ALL_NAMESPACES,)
            for resource in FOLLOWED
        }
        self.nodes = None if settings.namespaces else _node_reflector(kube, settings, on_change)

    def __iter__(self) -> Iterator[tuple[Resource, Manifest]]:
        for (resource, _), reflector in self.reflectors.items():
            for obj in reflector.store:
                yield resource, obj

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._again.clear()
            tasks = [asyncio.ensure_future(reflector.run()) for reflector in self.reflectors.values()]
            tasks.append(asyncio.ensure_future(_until(self._again)))
            if self.nodes is not None:
                tasks.append(asyncio.ensure_future(self.nodes.run()))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await cancel(tasks)

    async def complete(self) -> None:
        """Wait until all of it has been listed."""
        await asyncio.gather(*(reflector.synced.wait() for reflector in self.reflectors.values()))

    def begin_anew(self) -> None:
        """List everything anew: what is here may be older than something that was done elsewhere."""
        for reflector in self.reflectors.values():
            reflector.synced.clear()
        self._again.set()

    def stalled(self) -> list[str]:
        """Name the kinds that were listed, and of which nothing was heard for too long since."""
        limit = time.monotonic() - self._stall_limit
        return sorted(
            {
                at[0].plural
                for at, reflector in self.reflectors.items()
                if float("-inf") < reflector.last_contact < limit
            }
        )

    def unsynced(self) -> list[str]:
        """Name the kinds that have not been listed yet."""
        return sorted({at[0].plural for at, each in self.reflectors.items() if not each.synced.is_set()})


def _reflector(
    kube: KubeClient, settings: Settings, resource: Resource, namespace: str, on_change: OnChange
) -> Reflector:
    reflector = Reflector(
        kube,
        resource,
        namespace=namespace,
        # Of all others only ours: a busy Kubernetes then costs nothing.
        labels=None if resource in DASK_RESOURCES else labels.CLUSTER_NAME,
        on_change=lambda old, new: on_change(resource, old, new),
        silence_seconds=settings.watch_silence,
        relist_seconds=settings.relist,
    )
    if resource == POD:
        reflector.store.trim = trim
    return reflector


def _node_reflector(kube: KubeClient, settings: Settings, on_change: OnChange) -> Reflector:
    reflector = Reflector(
        kube,
        NODE,
        on_change=lambda old, new: on_change(NODE, old, new),
        silence_seconds=settings.watch_silence,
        relist_seconds=settings.relist,
    )
    reflector.store.trim = trim_node
    return reflector


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def cancel(tasks: Sequence[asyncio.Future[None]]) -> None:
    """End tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
