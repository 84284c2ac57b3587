"""What the operator asks of Dask schedulers: which workers there are, and to move data off some."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.portforward import PortForward
from dask_gpu_k8s.operator import dask_wire
from dask_gpu_k8s.operator.facts import SchedulerAt, SchedulerUnreachable, WorkerFacts

T = TypeVar("T")

BUSY_STATES = ("executing", "long-running", "ready", "constrained", "waiting", "resumed")
"""States in which a worker counts a task that it has been given to run."""


@dataclass(frozen=True)
class RetireAnswer:
    """What became of workers that were asked to retire, by address.

    Attributes
    ----------
    retired : frozenset of str
        Free of data that nobody else has; they take no more tasks.
    kept : frozenset of str
        Unknown to the scheduler, or with data that no other worker can take.
    moving : frozenset of str
        Their data is on its way.
    """

    retired: frozenset[str]
    kept: frozenset[str]
    moving: frozenset[str]


class SchedulerApi:
    """Speaks to the schedulers of all clusters, connecting anew for each question.

    Parameters
    ----------
    kube : KubeClient
    direct : bool
        Whether Services and Pods can be reached as they are, which is so in a Pod; else a port is
        forwarded.
    timeout : float
        Seconds to reach a scheduler, and again to get an answer.
    patience : float
        Seconds to wait for data to move. It goes on moving beyond them; ask again to learn of its end.
    """

    def __init__(self, kube: KubeClient, *, direct: bool, timeout: float, patience: float) -> None:
        self._kube = kube
        self._direct = direct
        self._timeout = timeout
        self._patience = patience
        self._moving: dict[tuple[str, str], asyncio.Task[frozenset[str]]] = {}

    async def workers(self, scheduler: SchedulerAt) -> Mapping[str, WorkerFacts]:
        """Ask for the workers, by address.

        Raises
        ------
        SchedulerUnreachable
        """
        async with self._reach(scheduler) as connection:
            answer = await self._in_time(connection.call("identity"))
        try:
            return {address: _facts(worker) for address, worker in answer["workers"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SchedulerUnreachable(f"it answered what is not understood ({error!r})") from error

    async def retire(self, scheduler: SchedulerAt, addresses: Iterable[str]) -> RetireAnswer:
        """Have data moved off workers, which stay but take no more tasks. It can be asked again.

        Raises
        ------
        SchedulerUnreachable
        """
        wanted = {address: (scheduler.uid, address) for address in sorted(addresses)}
        new = [address for address, key in wanted.items() if key not in self._moving]
        if new:
            task = asyncio.create_task(self._retire(scheduler, new))
            self._moving.update({wanted[address]: task for address in new})
        await asyncio.wait({self._moving[key] for key in wanted.values()}, timeout=self._patience)
        retired: set[str] = set()
        kept: set[str] = set()
        moving: set[str] = set()
        failure: BaseException | None = None
        for address, key in wanted.items():
            task = self._moving[key]
            if not task.done():
                moving.add(address)
                continue
            del self._moving[key]
            failure = failure or task.exception()
            if not task.exception():
                (retired if address in task.result() else kept).add(address)
        if failure:
            raise failure
        return RetireAnswer(frozenset(retired), frozenset(kept), frozenset(moving))

    async def close(self) -> None:
        """Stop waiting for data that moves."""
        tasks = set(self._moving.values())
        self._moving.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _retire(self, scheduler: SchedulerAt, addresses: list[str]) -> frozenset[str]:
        async with self._reach(scheduler) as connection:
            # remove=True would end the processes, which the kubelet then starts again under the same name.
            answer = await connection.call(
                "retire_workers", workers=addresses, remove=False, close_workers=False
            )
        return frozenset(answer or ())

    @contextlib.asynccontextmanager
    async def _reach(self, scheduler: SchedulerAt) -> AsyncIterator[dask_wire.Connection]:
        try:
            async with contextlib.AsyncExitStack() as stack:
                yield await self._connect(await self._ways(scheduler, stack), stack)
        except (OSError, EOFError, KubeError, dask_wire.WireError) as error:
            raise SchedulerUnreachable(str(error) or type(error).__name__) from error

    async def _connect(
        self, ways: list[tuple[str, int]], stack: contextlib.AsyncExitStack
    ) -> dask_wire.Connection:
        *others, last = ways
        for way in others:
            with contextlib.suppress(OSError, EOFError, SchedulerUnreachable):
                return await self._in_time(stack.enter_async_context(dask_wire.connect(*way)))
        return await self._in_time(stack.enter_async_context(dask_wire.connect(*last)))

    async def _ways(self, scheduler: SchedulerAt, stack: contextlib.AsyncExitStack) -> list[tuple[str, int]]:
        if self._direct:
            service = f"{scheduler.cluster}-scheduler.{scheduler.namespace}.svc"
            return [(service, scheduler.service_port), (scheduler.pod_ip, scheduler.port)]
        forward = PortForward(self._kube, scheduler.pod, scheduler.port, namespace=scheduler.namespace)
        await stack.enter_async_context(forward)
        return [("127.0.0.1", forward.local_port)]

    async def _in_time(self, awaitable: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(awaitable, self._timeout)
        except asyncio.TimeoutError as error:
            raise SchedulerUnreachable(f"no answer within {self._timeout:g} s") from error


def _facts(worker: Mapping[str, Any]) -> WorkerFacts:
    metrics = worker.get("metrics") or {}
    counts = metrics.get("task_counts") or {}
    return WorkerFacts(
        name=str(worker["name"]),
        host=str(worker["host"]),
        nbytes=int(metrics.get("managed_bytes") or 0),
        tasks=sum(int(counts.get(state) or 0) for state in BUSY_STATES),
        running=worker.get("status") == "running",
    )
