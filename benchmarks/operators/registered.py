"""Workers that are registered with a scheduler and are nothing else: one connection each, no process.

They say of themselves what a worker says when it registers, and read what the scheduler sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from distributed import Status
from distributed.comm import connect

METRICS = {
    "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
    "memory": 2**20,
    "managed_bytes": 0,
    "spilled_bytes": {"memory": 0, "disk": 0},
    "task_counts": {},
    "digests_total_since_heartbeat": {},
    "event_loop_interval": 0.02,
    "host": {},
}


@contextlib.asynccontextmanager
async def registered(scheduler: str, names: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """Register workers of these names for the length of an ``async with``; give the line of each."""
    comms = await asyncio.gather(
        *(_register(scheduler, name, number) for number, name in enumerate(names, start=1))
    )
    readers = [asyncio.ensure_future(_read(comm)) for comm in comms]
    try:
        yield dict(zip(names, comms, strict=True))
    finally:
        for reader in readers:
            reader.cancel()
        for comm in comms:
            comm.abort()


async def _register(scheduler: str, name: str, number: int) -> Any:
    comm = await connect(scheduler)
    await comm.write(
        {
            "op": "register-worker",
            "reply": False,
            "address": f"tcp://10.254.{number // 250}.{number % 250 + 1}:40000",
            "status": Status.running.name,
            "nthreads": 1,
            "name": name,
            "now": 0.0,
            "resources": {},
            "memory_limit": 2**30,
            "local_directory": "/tmp",
            "services": {},
            "nanny": None,
            "pid": number,
            "versions": {},
            "metrics": METRICS,
            "extra": {},
            "stimulus_id": f"register-{number}",
            "server_id": name,
            "host_info": {},
        },
        serializers=["msgpack"],
    )
    answer = await comm.read(deserializers=["msgpack"])
    if answer["status"] != "OK":
        raise RuntimeError(f"The scheduler refused {name}: {answer}")
    return comm


async def _read(comm: Any) -> None:
    with contextlib.suppress(OSError):
        while True:
            await comm.read()
