"""Workers that are lost come back within 10 s, whoever says that they are lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import format_time
from dask_gpu_k8s.api.resources import DASKCLUSTER, NODE, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.operator.app import Operator
from dask_gpu_k8s.operator.settings import Settings
from tests.integration.operator.conftest import a_cluster, eventually, running

SOON = 10.0
"""Seconds that are promised."""


@contextlib.asynccontextmanager
async def running_for_all_namespaces(kube: KubeClient) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.ensure_future(Operator(kube, Settings()).run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def workers(kube: KubeClient) -> dict[str, dict[str, Any]]:
    """Return the worker Pods that nobody has deleted, by name."""
    found = await kube.list(POD, labels={labels.COMPONENT: labels.WORKER})
    pods = {pod["metadata"]["name"]: pod for pod in found["items"]}
    return {name: pod for name, pod in pods.items() if "deletionTimestamp" not in pod["metadata"]}


async def until(kube: KubeClient, count: int, *, without: str = "", seconds: float = SOON) -> list[str]:
    async def check() -> list[str] | None:
        found = [name for name in await workers(kube) if name != without]
        return found if len(found) == count else None

    return list(await eventually(check, seconds))


async def settle(kube: KubeClient, pod: str, **conditions: dict[str, Any]) -> None:
    """Write conditions of a Pod, as a kubelet or a controller would."""
    written = [{"type": type_, **said} for type_, said in conditions.items()]
    await kube.patch(POD, pod, {"status": {"conditions": written}}, sub="status")


def now() -> str:
    return format_time(datetime.now(timezone.utc))


async def test_row_30_a_deleted_worker_is_replaced_though_it_does_not_end(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 2))
        first, _ = await until(kube, 2)
        await kube.patch(POD, first, {"metadata": {"finalizers": ["example.org/stuck"]}})
        await kube.delete(POD, first)
        await until(kube, 2, without=first)
        assert (await kube.get(POD, first))["metadata"]["deletionTimestamp"]


async def test_row_30_a_failed_worker_is_replaced(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 2))
        first, second = await until(kube, 2)
        status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}
        await kube.patch(POD, first, {"status": status}, sub="status")

        async def is_replaced() -> bool:
            found = set(await workers(kube))
            return first not in found and second in found and len(found) == 2

        await eventually(is_replaced, SOON)


async def test_row_30_the_pods_own_condition_tells_of_a_silent_node(kube):
    """As the node controller leaves it: in one namespace, that is all that can be seen."""
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 2))
        first, _ = await until(kube, 2)
        ready = {"status": "False", "lastTransitionTime": now()}
        await settle(kube, first, Ready=ready, ContainersReady={"status": "True"})
        await until(kube, 2, without=first)
        assert first in await workers(kube), "it may come back with its data"


async def test_row_30_a_silent_node_is_seen_and_its_workers_may_come_back(kube):
    node = f"silent-{kube.namespace}"
    await kube.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})

    async def says(status: str) -> None:
        ready = {"type": "Ready", "status": status, "lastTransitionTime": now()}
        await kube.patch(NODE, node, {"status": {"conditions": [ready]}}, sub="status")

    await says("True")
    cluster = a_cluster("foo", 1)
    cluster["spec"]["worker"]["spec"] |= {"nodeSelector": None, "nodeName": node}
    async with running_for_all_namespaces(kube):
        await kube.create(DASKCLUSTER, cluster, strict=False)
        (lost,) = await until(kube, 1)
        await asyncio.sleep(1.1)  # stamps are in whole seconds; the Pod has to be the older one
        await says("Unknown")
        (other,) = await until(kube, 1, without=lost)
        assert set(await workers(kube)) == {lost, other}, "it is replaced once, and not deleted"
        await says("True")
        await until(kube, 1)
    await kube.delete(NODE, node)
