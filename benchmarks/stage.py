"""Where operators are measured: a real node, a namespace for each measurement, Pods that stay unscheduled."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

from dask_gpu_k8s.api.resources import DASKCLUSTER, NAMESPACE, NODE, POD, SERVICE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from tests.e2e.node import versions

ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount", "serviceaccount")
IN_FLIGHT = 50
LONGEST = 900.0
_numbers = itertools.count(1)


NOWHERE = {
    "nodeSelector": {"example.com/nowhere": "true"},
    "containers": [{"name": "main", "image": "example", "args": ["dask", "worker"]}],
}
"""A Pod that fits on no node: what is measured is the operator, not a kubelet."""


def real(*args: str) -> dict[str, Any]:
    """Make the spec of a Pod that runs Dask."""
    ports = [
        {"name": "tcp-comm", "containerPort": 8786},
        {"name": "http-dashboard", "containerPort": 8787},
    ]
    image = f"{versions.DASK_IMAGE}:{versions.NEWEST_DASK}"
    return {"containers": [{"name": "main", "image": image, "args": list(args), "ports": ports}]}


def a_cluster(
    name: str, workers: int, *, scheduler: Manifest = NOWHERE, worker: Manifest = NOWHERE
) -> Manifest:
    """Make a DaskCluster whose scheduler can be reached from outside, where it runs."""
    ports = [
        {"name": "tcp-comm", "protocol": "TCP", "port": 8786, "targetPort": "tcp-comm"},
        {"name": "http-dashboard", "protocol": "TCP", "port": 8787, "targetPort": "http-dashboard"},
    ]
    selector = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {
            "worker": {"replicas": workers, "spec": worker},
            "scheduler": {
                "spec": scheduler,
                "service": {"type": "NodePort", "selector": selector, "ports": ports},
            },
        },
    }


@contextlib.asynccontextmanager
async def namespace(kube: KubeClient) -> AsyncIterator[str]:
    """Give a new namespace; afterwards it goes, and with it all that is in it."""
    name = f"bench-{next(_numbers)}-{int(time.time())}"
    await kube.create(NAMESPACE, {"metadata": {"name": name}})

    async def has_account() -> bool:
        return bool((await kube.list(ACCOUNT, name))["items"])

    await until(has_account)
    try:
        yield name
    finally:
        await kube.delete(NAMESPACE, name)


@contextlib.asynccontextmanager
async def emptied(kube: KubeClient) -> AsyncIterator[str]:
    """Give a new namespace, as `namespace` does; go on when what was in it no longer slows others down."""
    name = ""

    async def is_empty() -> bool:
        return not any([(await kube.list(resource, name))["items"] for resource in (DASKCLUSTER, POD)])

    try:
        async with namespace(kube) as name:
            yield name
    finally:
        await until(is_empty, 120)


async def until(holds: Any, longest: float = LONGEST) -> float:
    """Ask every 20 ms until something holds; return the seconds that took."""
    start = time.perf_counter()
    while not await holds():
        if time.perf_counter() - start > longest:
            raise TimeoutError(f"not within {longest:g} s: {getattr(holds, '__name__', holds)}")
        await asyncio.sleep(0.02)
    return time.perf_counter() - start


async def count_pods(kube: KubeClient, namespace: str) -> int:
    """Count the Pods of a namespace; costs the API server next to nothing."""
    page = await kube.request("GET", POD, namespace=namespace, params={"limit": 1})
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount") or 0)


async def until_pods(kube: KubeClient, namespace: str, count: int) -> float:
    """Wait for so many Pods; return the seconds."""

    async def so_many() -> bool:
        return await count_pods(kube, namespace) == count

    return await until(so_many)


async def create_cluster(
    kube: KubeClient, namespace: str, name: str, workers: int, **specs: Manifest
) -> None:
    """Create a DaskCluster; see `a_cluster`."""
    await kube.create(DASKCLUSTER, a_cluster(name, workers, **specs), namespace, strict=False)


async def scheduler_address(kube: KubeClient, namespace: str, name: str) -> str:
    """Wait for a cluster's NodePort; return its scheduler's address for this machine."""
    port = 0

    async def has_port() -> bool:
        nonlocal port
        with contextlib.suppress(NotFound):
            service = await kube.get(SERVICE, f"{name}-scheduler", namespace)
            port = service["spec"]["ports"][0].get("nodePort") or 0
        return bool(port)

    await until(has_port)
    (node,) = (await kube.list(NODE))["items"]
    host = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    return f"tcp://{host}:{port}"


async def at_once(calls: list[Any]) -> float:
    """Await calls, `IN_FLIGHT` at a time; return the seconds."""
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(call: Any) -> None:
        async with slots:
            await call

    start = time.perf_counter()
    await asyncio.gather(*map(one, calls))
    return time.perf_counter() - start
