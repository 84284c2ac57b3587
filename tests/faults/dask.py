"""Dask as the operator sees it: schedulers that answer its questions, and results that can be lost."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from tests.faults import clock
from tests.faults.calls import Call, Strike

MOVING = 0.3
"""Seconds that it takes to move data off workers."""

BUSY = 2.0
"""Seconds that a task takes."""

HEARTBEAT = 0.5
"""Seconds between two words of a worker."""

asking: contextvars.ContextVar[Strike] = contextvars.ContextVar("asking")
"""Through whom a question goes: set in every task of an operator."""


@dataclass
class Worker:
    """A worker process, for as long as its Pod runs."""

    name: str
    host: str
    cluster: str
    keys: set[str] = field(default_factory=set)
    busy_until: float = 0.0
    status: str = "running"

    @property
    def is_busy(self) -> bool:
        """Whether it runs a task."""
        return clock.now() < self.busy_until

    @property
    def address(self) -> str:
        """Where its peers find it."""
        return f"tcp://{self.host}:40000"


class Dask:
    """All schedulers and workers."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        """Keys of which the last copy ended with its worker."""
        self.interrupted: set[str] = set()
        """Workers that ended in the middle of a task."""
        self.targets: dict[str, int] = {}
        """How many workers the work of a cluster is for, by cluster."""
        self._schedulers: dict[str, str] = {}
        self._workers: dict[str, Worker] = {}

    def started(self, pod: Manifest) -> None:
        """Take note of a Pod that runs."""
        role, name = pod["spec"]["containers"][0]["name"], pod["metadata"]["name"]
        uid, host = pod["metadata"]["uid"], pod["status"]["podIP"]
        if role == "scheduler":
            self._schedulers[uid] = name.removesuffix("-scheduler")
        elif role == "worker":
            env = {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}
            cluster = env["DASK_SCHEDULER_ADDRESS"].removeprefix("tcp://").split("-scheduler.")[0]
            self._workers[uid] = Worker(env["DASK_WORKER_NAME"], host, cluster)

    def ended(self, uid: str) -> None:
        """Take note of a Pod that does not run any more."""
        worker, cluster = self._workers.pop(uid, None), self._schedulers.pop(uid, None)
        if worker is not None and worker.cluster in self._schedulers.values():
            elsewhere = {key for other in self._workers.values() for key in other.keys}
            self.lost |= worker.keys - elsewhere
            if worker.is_busy:
                self.interrupted.add(worker.name)
        for other in self._workers.values():
            if other.cluster == cluster:
                other.keys.clear()

    def workers(self, cluster: str) -> dict[str, Worker]:
        """Return the workers of a cluster by address."""
        return {worker.address: worker for worker in self._workers.values() if worker.cluster == cluster}

    def compute(self, cluster: str) -> None:
        """Have every worker of a cluster hold results that nobody else has, and work on."""
        workers = sorted(self.workers(cluster).values(), key=lambda worker: worker.host)
        for number, worker in enumerate(workers):
            worker.busy_until = clock.now() + BUSY * (number % 3)
            worker.keys |= {f"{worker.name}-{part}" for part in range(2 + number % 3)}
            # And a copy that two have: one of the two may go, but not both.
            worker.keys.add(f"shared-{number // 2}")

    @contextlib.asynccontextmanager
    async def connect(self, host: str, *_: Any, **__: Any) -> AsyncIterator[Connection]:
        """Stand for `wire.connect`."""
        cluster = host.split("-scheduler.")[0]
        if cluster not in self._schedulers.values():
            raise ConnectionRefusedError(f"nobody listens at {host}")
        yield Connection(self, cluster)


class Connection:
    """Stands for `wire.Connection`."""

    def __init__(self, dask: Dask, cluster: str) -> None:
        self._dask = dask
        self._cluster = cluster

    async def call(self, op: str, **arguments: Any) -> Any:
        """Answer like the handler of that name."""

        async def perform() -> Any:
            return await getattr(self, f"_{op}")(**arguments)

        return await asking.get()(Call("RPC", f"{op} of {self._cluster}", arguments), perform)

    async def _identity(self) -> Any:
        return {
            "workers": {
                address: {
                    "name": worker.name,
                    "host": worker.host,
                    "status": worker.status,
                    "last_seen": clock.now() // HEARTBEAT * HEARTBEAT,
                    "metrics": {
                        "managed_bytes": 100 * len(worker.keys),
                        "task_counts": {"executing": int(worker.is_busy)},
                    },
                }
                for address, worker in self._dask.workers(self._cluster).items()
            }
        }

    async def _retire_workers(self, workers: list[str], remove: bool, close_workers: bool) -> Any:
        assert not remove
        assert not close_workers
        known = self._dask.workers(self._cluster)
        going = [known[address] for address in workers if address in known]
        for worker in going:
            worker.status = "closing_gracefully"
        await asyncio.sleep(MOVING)
        there = self._dask.workers(self._cluster).values()
        takers = [worker for worker in there if worker.status == "running"]
        copies = [key for worker in there if worker not in going for key in worker.keys]
        retired = {}
        for worker in going:
            if not takers and not worker.keys.issubset(copies):
                worker.status = "running"
                continue
            for key in sorted(worker.keys):
                if key not in copies:
                    min(takers, key=lambda taker: (len(taker.keys), taker.host)).keys.add(key)
            worker.keys.clear()
            retired[worker.address] = {"name": worker.name}
        return retired

    async def _processing(self, workers: list[str]) -> Any:
        known = self._dask.workers(self._cluster)
        there = [address for address in workers if address in known]
        return {address: ("task",) if known[address].is_busy else () for address in there}

    async def _dask_operator_demand(self) -> Any:
        return None  # the preload is not there, so the adaptive target is all that is known

    async def _adaptive_target(self) -> Any:
        return self._dask.targets.get(self._cluster, 0)

    async def _check_idle(self) -> Any:
        busy = any(worker.is_busy for worker in self._dask.workers(self._cluster).values())
        return None if busy else 1.0

    async def _has_what(self, workers: list[str]) -> Any:
        known = self._dask.workers(self._cluster)
        return {address: sorted(known[address].keys) if address in known else () for address in workers}

    async def _who_has(self, keys: list[str]) -> Any:
        known = self._dask.workers(self._cluster).items()
        return {key: tuple(address for address, worker in known if key in worker.keys) for key in keys}
