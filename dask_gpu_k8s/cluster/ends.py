"""How the workers of a cluster came to their ends: followed while connected, remembered, told by name."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.container_state import last_line
from dask_gpu_k8s.api.ends import DELETED, End, blame, find_end, is_running
from dask_gpu_k8s.api.explain import events_of
from dask_gpu_k8s.api.resources import EVENT, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing
from dask_gpu_k8s.cluster.facts import dask_container
from dask_gpu_k8s.cluster.logs import last_lines
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.reflector import Reflector

logger = logging.getLogger(__name__)

REMEMBERED = 1000
"""Of so many Pods the last end is remembered; older ones are forgotten."""
_LATELY = 20
"""Ends that can be told without the name of their worker."""

LOG_SECONDS = 2.0
"""How long reading its events or its log may take; the end is told without it then."""

NEWS_SECONDS = 3.0
"""How long Kubernetes may take to say that a container has ended of which Dask knows already."""

_LOG_LINES = 100
"""What is read of a log: a worker writes about twenty lines when its nanny starts it again."""
_AT_ONCE = 4
"""Logs that are read at a time: many workers may end together."""
_MANY = 20
"""Workers that leave at a time, more of which are a restart: no news of each is needed."""

_NANNY = re.compile(r"Worker process \d+ (was killed by|exited with) .*")
"""What Dask's nanny writes when the process that it looks after has ended."""


class WorkerEnds:
    """Follows the worker Pods of a cluster; used with ``async with``. The log says how each of them ended.

    Parameters
    ----------
    kube : KubeClient
    namespace, cluster : str
        Where the DaskCluster is, and its name.
    """

    def __init__(self, kube: KubeClient, namespace: str, cluster: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._where = f"DaskCluster {namespace}/{cluster}"
        self._pods = Reflector(
            kube, POD, namespace=namespace, labels=labels.of_all_workers(cluster), on_change=self._see
        )
        self._pods.on_refused = missing.tell
        self._pods.store.trim = _trim
        # By the name of their Pod: the last end as Kubernetes says it, and as it was told.
        self._seen: OrderedDict[str, End] = OrderedDict()
        self._ends: OrderedDict[str, End] = OrderedDict()
        self._troubles: deque[End] = deque(maxlen=_LATELY)
        self._addresses: OrderedDict[str, str] = OrderedDict()
        self._changed = asyncio.Event()
        self._reading = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> WorkerEnds:
        self._spawn(self._pods.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _see(self, old: Manifest | None, new: Manifest | None) -> None:
        pod = new or old
        assert pod is not None
        if labels.RETIRE in (pod["metadata"].get("annotations") or {}):
            return  # The operator took it away, as it was asked to.
        name, container = pod["metadata"]["name"], dask_container(pod)["name"]
        if address := (pod.get("status") or {}).get("podIP"):
            _remember(self._addresses, address, name)
        end = find_end(pod, container)
        if new is None and end is None:
            end = End(name, pod["spec"].get("nodeName") or "", DELETED, "it is gone", is_of_pod=True)
        if end is None or _is_told(self._seen.get(name), end):
            return
        _remember(self._seen, name, end)
        if self._pods.synced.is_set():
            self._spawn(self._tell(pod, container, end))
        else:
            _remember(self._ends, name, end)  # From before we came.

    async def _tell(self, pod: Manifest, container: str, end: End) -> None:
        """Complete an end by what events and the log know of it, and log it."""
        if not end.is_of_pod:
            end = blame(end, events_of(pod, await self._events(pod)))
        if not end.line and end.reason != DELETED:
            end = replace(end, line=last_line(await self._last_lines(pod, container, ended=True)))
        self._conclude(end)

    async def _events(self, pod: Manifest) -> list[Manifest]:
        fields = {"involvedObject.kind": "Pod", "involvedObject.name": pod["metadata"]["name"]}
        async with self._reading:
            try:
                listing = self._kube.list(EVENT, self._namespace, fields=fields)
                found: list[Manifest] = (await asyncio.wait_for(listing, LOG_SECONDS))["items"]
            except KubeError as error:
                missing.tell(error)
                return []
            except asyncio.TimeoutError:
                return []
        return found

    def _conclude(self, end: End) -> None:
        if self._ends.get(end.pod) == end:
            return
        _remember(self._ends, end.pod, end)
        if end.is_trouble:
            self._troubles.append(end)
        level = logging.WARNING if end.is_trouble else logging.INFO
        logger.log(level, "%s: a worker has ended: %s", self._where, end)
        self._changed.set()

    async def _last_lines(self, pod: Manifest, container: str, *, ended: bool) -> str:
        async with self._reading:
            reading = last_lines(self._kube, pod, container, _LOG_LINES, ended=ended)
            try:
                return await asyncio.wait_for(reading, LOG_SECONDS)
            except asyncio.TimeoutError:
                return ""

    # Asked by others

    def worker_left(self, name: str, address: str) -> None:
        """Take note that a worker has left the scheduler: its process may have ended without its Pod."""
        pod = self._pod_of(name, address)
        if pod and len(self._tasks) <= _MANY:
            self._spawn(self._look_into(pod))

    async def _look_into(self, pod: str) -> None:
        before = self._ends.get(pod)
        await self._until(lambda: self._ends.get(pod) is not before)
        if self._ends.get(pod) is before:
            await self._process_end(pod)

    async def of_worker(self, name: str, address: str) -> End | None:
        """Say how a worker ended; waits up to `NEWS_SECONDS` for Kubernetes to know.

        Parameters
        ----------
        name : str
            Of the worker: that of its Pod, with ``-0``, ``-1``, … where several share one.
        address : str
            Of the worker.
        """
        pod = self._pod_of(name, address)
        if not pod:
            return None
        await self._until(lambda: pod in self._ends)
        return self._ends.get(pod) or await self._process_end(pod)

    def troubles(self) -> list[End]:
        """Return the ends that nobody asked for, the latest first; none from before we came."""
        return list(reversed(self._troubles))

    async def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + NEWS_SECONDS
        while not holds() and (left := deadline - time.monotonic()) > 0:
            self._changed.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def _process_end(self, name: str) -> End | None:
        """Find out how a worker's process ended in a Pod that runs on, from what its nanny has written."""
        pod = self._pods.store.get(self._namespace, name)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return None
        container = dask_container(pod)["name"]
        if not is_running(pod, container):
            return None
        found = list(_NANNY.finditer(await self._last_lines(pod, container, ended=False)))
        if not found:
            return None
        message = f"its nanny says: {found[-1].group().strip()}; the Pod runs on"
        end = End(name, pod["spec"].get("nodeName") or "", "ProcessEnded", message)
        self._conclude(end)
        return end

    def _pod_of(self, worker: str, address: str) -> str:
        """Return the name of a worker's Pod; empty if none is known."""
        host = address.rpartition("://")[2].rpartition(":")[0].strip("[]")
        for name in (worker, re.sub(r"-\d+$", "", worker), self._addresses.get(host, "")):
            if name in self._seen or self._pods.store.get(self._namespace, name) is not None:
                return name
        return ""


def _is_told(known: End | None, end: End) -> bool:
    """Say whether an end is the one that is known; a Pod that has one as a whole has no other."""
    return known is not None and known.reason == end.reason and (end.is_of_pod or known.at == end.at)


def _trim(pod: Manifest) -> Manifest:
    """Keep of a Pod what is asked of it here."""
    spec = pod["spec"]
    containers = [
        {field: container[field] for field in ("name", "resources") if field in container}
        for container in spec["containers"]
    ]
    return {**pod, "spec": {"nodeName": spec.get("nodeName"), "containers": containers}}


def _remember(memory: OrderedDict[str, Any], key: str, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
