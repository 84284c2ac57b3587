"""What is measured of an operator. Each returns seconds, and cleans up behind itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from distributed import Client

from benchmarks.operators.registered import registered
from benchmarks.stage import (
    NOWHERE,
    at_once,
    count_pods,
    create_cluster,
    namespace,
    real,
    scheduler_address,
    until,
    until_pods,
)
from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.reflector import Reflector

WORKERS = {labels.COMPONENT: labels.WORKER}
TO_ZERO: Manifest = {"spec": {"worker": {"replicas": 0}}}


def a_pod(name: str) -> dict[str, Any]:
    """Make a Pod like a worker's, for whoever creates it straight at the API."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": NOWHERE}


async def limit_of_creation(kube: KubeClient, count: int) -> float:
    """Create Pods straight at the API."""
    async with namespace(kube) as place:
        return await at_once([kube.create(POD, a_pod(f"pod-{i}"), place) for i in range(count)])


async def limit_of_deletion(kube: KubeClient, count: int) -> float:
    """Delete Pods straight at the API."""
    async with namespace(kube) as place:
        await at_once([kube.create(POD, a_pod(f"pod-{i}"), place) for i in range(count)])
        return await at_once([kube.delete(POD, f"pod-{i}", place) for i in range(count)])


async def creation(kube: KubeClient, count: int) -> float:
    """From the creation of a DaskCluster until all its Pods exist."""
    async with namespace(kube) as place:
        start = time.perf_counter()
        await create_cluster(kube, place, "big", count)
        await until_pods(kube, place, count + 1)
        return time.perf_counter() - start


async def scale_pending_to_zero(kube: KubeClient, count: int) -> float:
    """From the scaling of pending workers to 0 until their Pods are gone."""
    async with namespace(kube) as place:
        await create_cluster(kube, place, "big", count)
        await until_pods(kube, place, count + 1)
        start = time.perf_counter()
        await kube.patch(DASKWORKERGROUP, "big-default", TO_ZERO, place)
        await until_pods(kube, place, 1)
        return time.perf_counter() - start


async def scale_registered_to_zero(kube: KubeClient, count: int, system: str) -> float:
    """From the scaling of registered workers to 0 until their Pods are gone."""
    async with namespace(kube) as place:
        await create_cluster(kube, place, "big", count, scheduler=real("dask", "scheduler"))
        await until_pods(kube, place, count + 1)
        address = await scheduler_address(kube, place, "big")
        pods = (await kube.list(POD, place, labels=WORKERS))["items"]
        await at_once([kube.patch(POD, *_running(pod), sub="status") for pod in pods])
        async with registered(address, [_worker_name(pod) for pod in pods]) as lines:

            def end(old: Manifest | None, new: Manifest | None) -> None:
                if old is not None and new is None:
                    lines[_worker_name(old)].abort()  # A worker ends with its Pod.

            workers = Reflector(kube, POD, namespace=place, labels=WORKERS, on_change=end)
            following = asyncio.ensure_future(workers.run())
            await workers.synced.wait()
            start = time.perf_counter()
            if system == "upstream":
                await kube.patch(DASKCLUSTER, "big", TO_ZERO, place)
            else:
                await kube.patch(DASKWORKERGROUP, "big-default", TO_ZERO, place)
            await until_pods(kube, place, 1)
            seconds = time.perf_counter() - start
            following.cancel()
            return seconds


def _worker_name(pod: Manifest) -> str:
    """Return the name that the worker in a Pod would have."""
    env = pod["spec"]["containers"][0].get("env") or []
    return next(item["value"] for item in env if item["name"] == "DASK_WORKER_NAME")


def _running(pod: Manifest) -> tuple[str, Manifest, str]:
    """Say what makes a Pod look as if its worker ran."""
    now = pod["metadata"]["creationTimestamp"]
    state = {"running": {"startedAt": now}}
    container = {"name": "main", "ready": True, "restartCount": 0, "image": "example", "imageID": "example"}
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}],
        "containerStatuses": [{**container, "state": state}],
    }
    return pod["metadata"]["name"], {"status": status}, pod["metadata"]["namespace"]


async def many_that_compute(kube: KubeClient, count: int, patience: float) -> int:
    """Create clusters at once; return how many are Running and compute within so many seconds."""
    async with namespace(kube) as place:
        names = [f"c{number}" for number in range(count)]
        specs = {"scheduler": real("dask", "scheduler"), "worker": real("dask", "worker")}
        await asyncio.gather(*(create_cluster(kube, place, name, 1, **specs) for name in names))
        computed = await asyncio.gather(
            *(asyncio.wait_for(_computes(kube, place, name), patience) for name in names),
            return_exceptions=True,
        )
        return sum(answer is True for answer in computed)


async def _computes(kube: KubeClient, place: str, name: str) -> bool:
    async def is_running() -> bool:
        cluster = await kube.get(DASKCLUSTER, name, place)
        return (cluster.get("status") or {}).get("phase") == "Running"

    await until(is_running)
    address = await scheduler_address(kube, place, name)
    async with Client(address, asynchronous=True, timeout=60) as client:
        return bool(await client.submit(sum, [1, 2]) == 3)


async def deletion(kube: KubeClient, count: int) -> float:
    """From the deletion of a DaskCluster until all its Pods are gone."""
    async with namespace(kube) as place:
        await create_cluster(kube, place, "big", count)
        await until_pods(kube, place, count + 1)
        start = time.perf_counter()
        await kube.delete(DASKCLUSTER, "big", place)
        await until_pods(kube, place, 0)
        return time.perf_counter() - start


async def small_beside_big(kube: KubeClient, count: int) -> tuple[float, float]:
    """Create a small cluster while a big one grows; return the seconds of each, the small one first."""
    async with namespace(kube) as big, namespace(kube) as small:
        start = time.perf_counter()
        await create_cluster(kube, big, "big", count)

        async def is_growing() -> bool:
            return await count_pods(kube, big) > count / 10

        await until(is_growing)
        begun = time.perf_counter()
        await create_cluster(kube, small, "small", 3)
        await until_pods(kube, small, 4)
        seconds = time.perf_counter() - begun
        await until_pods(kube, big, count + 1)
        return seconds, time.perf_counter() - start


async def many_clusters(kube: KubeClient, place: str, clusters: int, workers: int) -> float:
    """Create many clusters at once; return the seconds until all their Pods exist."""
    start = time.perf_counter()
    await at_once([create_cluster(kube, place, f"c{i}", workers) for i in range(clusters)])
    await until_pods(kube, place, clusters * (workers + 1))
    return time.perf_counter() - start


async def one_event(kube: KubeClient, place: str, name: str) -> float:
    """Delete a worker; return the seconds until another has taken its place."""
    pods = (await kube.list(POD, place, labels={"dask.org/cluster-name": name}))["items"]
    victim = next(pod for pod in pods if "worker" in pod["metadata"]["labels"]["dask.org/component"])
    before = {pod["metadata"]["name"] for pod in pods}
    start = time.perf_counter()
    await kube.delete(POD, victim["metadata"]["name"], place)

    async def is_replaced() -> bool:
        now = (await kube.list(POD, place, labels={"dask.org/cluster-name": name}))["items"]
        return any(pod["metadata"]["name"] not in before for pod in now)

    await until(is_replaced, 30)
    return time.perf_counter() - start


async def idle_cpu(cpu: Any, seconds: float) -> float:
    """Return the share of a core that a process uses while nothing happens."""
    before = cpu()
    await asyncio.sleep(seconds)
    return float(cpu() - before) / seconds
