"""What distributed's Cluster does that a subclass has to mind, each with its reason.

Seen in distributed 2025.2.0 and 2026.8.0, file ``deploy/cluster.py``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import FrameType
from typing import Any

from distributed import Client
from distributed.core import Status
from distributed.deploy import Cluster
from distributed.objects import SchedulerInfo

from dask_gpu_k8s.cluster.futures import Futures
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.within import unhurried

RECONNECT_SECONDS = 1200.0
"""How long a client waits for a scheduler that is gone: one on a new node may take that long to come back."""


def starting_client(frame: FrameType) -> Client | None:
    """Return the Client whose start is in this frame, if one is.

    It awaits its cluster there, after it has read its time-out and before anybody can submit. In
    `Client._instances` it is only later, unless it is asynchronous, and its cluster is told nothing of it.
    """
    found = frame.f_locals.get("self")
    return found if isinstance(found, Client) else None


def make_patient(client: Client) -> None:
    """Have a Client wait until a lost scheduler is back, and then go on.

    By itself it gives up for good after `_timeout`, which is the time to connect at first: 30 s by default.
    """
    client._timeout = max(client._timeout, RECONNECT_SECONDS)
    client.futures = Futures(client.futures)


class SteadyCluster(Cluster):  # type: ignore[misc]  # distributed ships no types
    """A Cluster whose calls act whether awaited or not, and which survives a cut connection."""

    def __init__(self, **kwargs: Any) -> None:
        self._calls: set[asyncio.Future[Any]] = set()
        super().__init__(**kwargs)

    def sync(self, func: Any, *args: Any, asynchronous: bool | None = None, **kwargs: Any) -> Any:
        """Run a coroutine function to its end, or start it if called in the cluster's own loop.

        The base returns a bare coroutine in the second case, so that an un-awaited ``cluster.scale(3)``,
        which notebook widgets and others do, would do nothing at all. If nobody awaits the task that is
        returned here, asyncio logs its error.
        """
        if asynchronous is None:
            asynchronous = self.asynchronous
        result = super().sync(func, *args, asynchronous=asynchronous, **kwargs)
        if not asynchronous:
            return result
        call = asyncio.ensure_future(result)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return call

    async def _watch_worker_status(self, comm: Any) -> None:
        """Follow the scheduler's news of workers; subscribe again after a cut.

        The base stops for good at the first error: `scheduler_info`, repr and widget freeze.
        """
        await super()._watch_worker_status(comm)
        backoff = Backoff(maximum=2.0)
        while self.status not in (Status.closing, Status.closed):
            await asyncio.sleep(next(backoff))
            try:
                comm = await self._subscribe()
            except OSError:
                continue
            backoff.reset()
            await super()._watch_worker_status(comm)

    async def _subscribe(self) -> Any:
        comm = await unhurried(self.scheduler_comm.live_comm())
        comm.name = "Cluster worker status"
        await comm.write({"op": "subscribe_worker_status"})
        self.scheduler_info = SchedulerInfo(await comm.read())
        self._watch_worker_status_comm = comm
        return comm

    async def _disconnect(self) -> None:
        """Take down what the base's `_start` put up.

        The base's `_close` awaits the watching task, which ends here only when it is cancelled.
        """
        self.status = Status.closing
        for client in self._clients():
            if client.status == "connecting":
                # It has lost the scheduler, and would look for it as long as `make_patient` says.
                client.loop.add_callback(client._close, fast=True)
        for attribute in ("_watch_worker_status_task", "_sync_cluster_info_task"):
            task = getattr(self, attribute)
            setattr(self, attribute, None)
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
        await super()._close()

    def _clients(self) -> list[Any]:
        return [client for client in list(Client._instances) if client.cluster is self]

    async def _close_clients(self) -> None:
        """Close the clients that use this cluster when their loop shuts down, and the connection with it.

        Left alone they write tracebacks about that; what they still want to send is dropped first.
        """
        for client in self._clients():
            with suppress(Exception):
                client.scheduler_comm.abort()
            with suppress(Exception):
                await client._close(fast=True)

    @property
    def plan(self) -> set[Any]:
        """Names of the workers that are there (the base reads an attribute it never sets)."""
        return set(self.observed)

    @property
    def requested(self) -> set[Any]:
        """Names of the workers that are there (the base reads an attribute it never sets)."""
        return set(self.observed)

    # The base compares by name and hashes by identity: equal clusters in a set would be two, and one
    # of another namespace or closed long ago would pass for this one.
    __eq__ = object.__eq__
    __hash__ = object.__hash__
