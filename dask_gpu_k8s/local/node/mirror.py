"""A kind of object as the API has it now, and who wants to know of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api

Key = tuple[str, str]
Watcher = Callable[[Manifest | None, Manifest | None], None]
"""Called with an object before and after a change; ``None`` where there is none."""


class Mirror:
    """All objects of a kind, kept current by a subscription.

    Parameters
    ----------
    api : Api
    resource : Resource
    failed : callable
        Gets the error if one of the watchers fails.
    """

    def __init__(self, api: Api, resource: Resource, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._subscription = api.subscribe(resource)
        self._objects = {_key(obj): obj for obj in api.list(resource)}
        self._watchers: list[Watcher] = []
        self._task = asyncio.get_running_loop().create_task(self._follow(), name=f"mirror {resource.plural}")

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` for every object that is there, and for every change from now on."""
        self._watchers.append(watcher)
        for obj in list(self._objects.values()):
            watcher(None, obj)

    def get(self, namespace: str, name: str) -> Manifest | None:
        """Return one object, or None."""
        return self._objects.get((namespace, name))

    def __iter__(self) -> Iterator[Manifest]:
        return iter(list(self._objects.values()))

    def in_namespace(self, namespace: str) -> list[Manifest]:
        """Return the objects of one namespace."""
        return [obj for key, obj in self._objects.items() if key[0] == namespace]

    async def close(self) -> None:
        """Stop following."""
        self._subscription.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            await self._take_changes()
        except Exception as error:
            self._failed(error)

    async def _take_changes(self) -> None:
        async for change in self._subscription:
            new = change["object"]
            key = _key(new)
            if change["type"] == "DELETED":
                old, new = self._objects.pop(key, None), None
            else:
                old = self._objects.get(key)
                self._objects[key] = new
            for watcher in self._watchers:
                watcher(old, new)


def _key(obj: Manifest) -> Key:
    return obj["metadata"].get("namespace") or "", obj["metadata"]["name"]
