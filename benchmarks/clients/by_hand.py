"""What nobody can beat by much: the Pods and the Service of a cluster, written by hand.

In a process of its own, as the lives of clusters are: ``python -m benchmarks.clients.by_hand NAMESPACE``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from distributed import Client

from benchmarks.clients.sightings import until_accepts
from benchmarks.stage import real, scheduler_address
from dask_gpu_k8s.api.resources import POD, SERVICE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient

NAME = "by-hand"
SCHEDULER = f"{NAME}-scheduler"


async def first_result(place: str) -> float:
    """From the first request until a task's result, through a node port."""
    start = time.perf_counter()
    async with KubeClient.connect() as kube:
        worker = real("dask", "worker", f"tcp://{SCHEDULER}.{place}.svc:8786")
        await asyncio.gather(
            kube.create(SERVICE, _service(), place),
            kube.create(POD, _pod(SCHEDULER, real("dask", "scheduler")), place),
            kube.create(POD, _pod(f"{NAME}-worker", worker), place),
        )
        address = await scheduler_address(kube, place, NAME)
        # A Client that tries by itself pauses for longer and longer.
        await until_accepts(address)
        async with Client(address, asynchronous=True) as client:
            if await client.submit(sum, [1, 2]) != 3:
                raise ValueError("a wrong result")
            return time.perf_counter() - start


def _pod(name: str, spec: dict[str, Any]) -> Manifest:
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, **spec},
    }


def _service() -> Manifest:
    return {
        "metadata": {"name": SCHEDULER},
        "spec": {"type": "NodePort", "selector": {"app": SCHEDULER}, "ports": [{"port": 8786}]},
    }


if __name__ == "__main__":
    print(asyncio.run(first_result(sys.argv[1])))
