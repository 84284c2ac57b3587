"""Scaling down real Dask workers, whatever goes wrong meanwhile.

The Pods run nowhere: a real scheduler and real workers in the test's process stand for them, named and
addressed as they are, and end when their Pod goes, as a kubelet would have it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from distributed import Client, Scheduler, Worker

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound, ServerError
from dask_gpu_k8s.operator import app
from dask_gpu_k8s.operator.settings import Settings
from tests.integration.operator.conftest import a_cluster, eventually, running

LOCALHOST = "127.0.0.1"
Send = Callable[[], Awaitable[Any]]


@pytest.fixture(autouse=True)
def in_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the operator reach Pods at their addresses, and not wait for runs that hang."""
    monkeypatch.setattr(app, "in_cluster", lambda: True)
    monkeypatch.setattr(app, "STOP_PATIENCE", 0.05)


class Stage:
    """A cluster of Pods, and the scheduler and workers that stand for them."""

    def __init__(self, kube: KubeClient, name: str, scheduler: Scheduler, client: Client) -> None:
        self.kube = kube
        self.name = name
        self.scheduler = scheduler
        self.client = client
        self.workers: dict[str, Worker] = {}
        self.is_over = False

    async def pods(self) -> list[dict[str, Any]]:
        selector = {labels.WORKERGROUP_NAME: f"{self.name}-default"}
        return list((await self.kube.list(POD, labels=selector))["items"])

    async def start(self, replicas: int) -> None:
        """Create the cluster and bring its Pods to life."""
        cluster = a_cluster(self.name, replicas)
        port = {"name": "tcp-comm", "containerPort": self.scheduler.port}
        cluster["spec"]["scheduler"]["spec"]["containers"][0]["ports"] = [port]
        await self.kube.create(DASKCLUSTER, cluster)
        pods = await eventually(lambda: self._all(replicas))
        await self._live(await self.kube.get(POD, f"{self.name}-scheduler"))
        for pod in pods:
            await self._live(pod)
            name = pod["metadata"]["name"]
            # Without a memory limit nobody but a test pauses or resumes it.
            options = {"host": LOCALHOST, "nthreads": 1, "dashboard": False, "memory_limit": 0}
            self.workers[name] = await Worker(self.scheduler.address, name=name, **options)

    async def _all(self, replicas: int) -> list[dict[str, Any]]:
        pods = await self.pods()
        return pods if len(pods) == replicas else []

    async def _live(self, pod: dict[str, Any]) -> None:
        container = {"name": pod["spec"]["containers"][0]["name"], "ready": True, "restartCount": 0}
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        status = {
            "phase": "Running",
            "podIP": LOCALHOST if pod["metadata"]["name"].endswith("-scheduler") else "127.1.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{**container, "image": "x", "imageID": "x", "state": running}],
        }
        await self.kube.patch(POD, pod["metadata"]["name"], {"status": status}, sub="status")

    async def follow(self) -> None:
        """End each worker whose Pod has gone; at the end, all of them."""
        while not self.is_over:
            there = {pod["metadata"]["name"] for pod in await self.pods()}
            for name in set(self.workers) - there:
                await self.workers.pop(name).close()
            await asyncio.sleep(0.02)
        for worker in self.workers.values():
            await worker.close()

    async def scale(self, replicas: int) -> None:
        await self.kube.patch(DASKCLUSTER, self.name, {"spec": {"replicas": replicas}}, sub="scale")

    async def settled(self, replicas: int) -> dict[str, Any]:
        """Wait until the group says that it has this size and nothing is on its way out."""

        async def check() -> Any:
            with contextlib.suppress(NotFound):
                group = await self.kube.get(DASKWORKERGROUP, f"{self.name}-default")
                status = group.get("status") or {}
                shrinking = find(status.get("conditions"), "ScalingDown") or {}
                sizes = (status.get("desiredReplicas"), status.get("replicas"), shrinking.get("status"))
                return sizes == (replicas, replicas, "False") and status
            return None

        return dict(await eventually(check))


@contextlib.asynccontextmanager
async def on_stage(kube: KubeClient, name: str) -> AsyncIterator[Stage]:
    """Start a scheduler and a client."""
    async with (
        Scheduler(host=LOCALHOST, port=0, dashboard_address=":0") as scheduler,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        stage = Stage(kube, name, scheduler, client)
        following = asyncio.ensure_future(stage.follow())
        try:
            yield stage
        finally:
            stage.is_over = True
            await following


async def spread(stage: Stage) -> list[Any]:
    """Put data on every worker."""
    return [
        (await stage.client.scatter([i], workers=[worker.address], hash=False))[0]
        for i, worker in enumerate(stage.workers.values())
    ]


async def test_the_rest_keeps_all_data(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        await stage.start(3)
        data = await spread(stage)
        await stage.scale(1)
        await stage.settled(1)
        assert await stage.client.gather(data) == [0, 1, 2]
        assert len(await stage.pods()) == 1


async def test_the_worker_with_least_data_goes(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        await stage.start(2)
        light, heavy = stage.workers.values()
        data = [
            await stage.client.scatter([b"x" * size], workers=[worker.address])
            for worker, size in ((light, 10), (heavy, 100_000))
        ]
        for worker in (light, heavy):
            await worker.heartbeat()
        await stage.scale(1)
        await stage.settled(1)
        (pod,) = await stage.pods()
        assert pod["metadata"]["name"] == heavy.name
        assert data


async def test_scaling_to_nothing_ends_and_says_what_was_lost(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        await stage.start(2)
        data = await spread(stage)
        await stage.scale(0)
        await stage.settled(0)
        assert await stage.pods() == []
        assert data


async def test_row_1_without_its_scheduler_no_worker_goes_and_it_is_said(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        await stage.start(2)
        await kube.patch(POD, "foo-scheduler", {"status": {"podIP": "127.9.9.9"}}, sub="status")
        await stage.scale(1)

        async def said() -> bool:
            group = await kube.get(DASKWORKERGROUP, "foo-default")
            found = find(group["status"].get("conditions"), "ScalingDown") or {}
            return bool(found.get("reason") == "SchedulerUnreachable" and "127.9.9.9" in found["message"])

        await eventually(said)
        assert len(await stage.pods()) == 2
        await kube.patch(POD, "foo-scheduler", {"status": {"podIP": LOCALHOST}}, sub="status")
        await stage.settled(1)


async def test_a_worker_whose_data_cannot_move_stays_and_it_is_said(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        await stage.start(2)
        first, second = stage.workers.values()
        data = await spread(stage)
        await first.heartbeat()
        await second.heartbeat()
        for worker in (first, second):
            worker.status = type(worker.status).paused
        await eventually(lambda: _nobody_runs(stage))
        await stage.scale(1)

        async def said() -> bool:
            group = await kube.get(DASKWORKERGROUP, "foo-default")
            found = find(group["status"].get("conditions"), "ScalingDown") or {}
            return found.get("reason") == "DataCannotMove"

        await eventually(said)
        assert len(await stage.pods()) == 2
        for worker in (first, second):
            if worker.status.name == "paused":
                worker.status = type(worker.status).running
        await stage.settled(1)
        assert await stage.client.gather(data) == [0, 1]


async def _nobody_runs(stage: Stage) -> bool:
    return not stage.scheduler.running


class Fault:
    """Lets the n-th write of the operator fail; or hang for ever, as if it had been killed there."""

    def __init__(self, kube: KubeClient, number: int, kind: str) -> None:
        self.hit = asyncio.Event()
        self._send = kube.request
        self._left = number
        self._kind = kind

    async def request(self, method: str, resource: Any, **more: Any) -> Any:
        async def send() -> Any:
            return await self._send(method, resource, **more)

        if method == "GET":
            return await send()
        self._left -= 1
        if self._left != -1:
            return await send()
        self.hit.set()
        if self._kind.endswith("after"):
            await send()
        if self._kind.startswith("killed"):
            await asyncio.Event().wait()
        raise ServerError(500, "InternalError", "injected", {}, "x")


@pytest.mark.parametrize("kind", ["failed before", "failed after", "killed before", "killed after"])
async def test_whatever_goes_wrong_while_shrinking(kube, bare_kubeconfig, kind):
    """At every write of a scale-down in turn: nothing is lost, and the group has the wanted size."""
    for number in range(50):
        name = f"foo{number}"
        async with on_stage(kube, name) as stage:
            async with running(kube):
                await stage.start(3)
                await stage.settled(3)
            data = await spread(stage)
            hit = await _shrink_with_fault(stage, bare_kubeconfig, number, kind)
            assert await stage.client.gather(data) == [0, 1, 2]
            (pod,) = await stage.pods()
            assert labels.RETIRE not in (pod["metadata"].get("annotations") or {})
            await kube.delete(DASKCLUSTER, name)
        if not hit:
            break
    assert number > 6


async def _shrink_with_fault(stage: Stage, kubeconfig: Any, number: int, kind: str) -> bool:
    await stage.scale(1)
    async with KubeClient.connect(kubeconfig) as kube:
        kube.namespace = stage.kube.namespace
        fault = Fault(kube, number, kind)
        kube.request = fault.request  # type: ignore[method-assign]
        working = asyncio.ensure_future(
            app.Operator(kube, Settings(namespaces=(kube.namespace,))).run(asyncio.Event())
        )
        settled = asyncio.ensure_future(stage.settled(1))
        killed = asyncio.ensure_future(
            fault.hit.wait() if kind.startswith("killed") else asyncio.Event().wait()
        )
        await asyncio.wait({settled, killed}, return_when=asyncio.FIRST_COMPLETED)
        if killed.done():
            await _end(working)
            async with running(stage.kube):
                await settled
        await settled
        await _end(working, killed)
        return fault.hit.is_set()


async def test_row_28_a_retired_id_never_comes_back_though_the_operator_is_killed(kube, bare_kubeconfig):
    """Killed after the mark, the Pod goes all the same; however the group grows, others have other names."""
    async with on_stage(kube, "foo") as stage:
        async with running(kube):
            await stage.start(2)
            await stage.settled(2)
        names = set(stage.workers)
        data = await spread(stage)
        await _shrink_with_fault(stage, bare_kubeconfig, 0, "killed after")
        (left,) = await stage.pods()
        (retired,) = names - {left["metadata"]["name"]}
        seen: list[str] = []
        async with running(kube):
            for replicas in (3, 1, 3):
                await stage.scale(replicas)
                await stage.settled(replicas)
                seen += [pod["metadata"]["name"] for pod in await stage.pods()]
        assert retired not in seen
        added = [event for _, event in stage.scheduler.get_events("all") if event["action"] == "add-worker"]
        assert len(added) == 2
        assert await stage.client.gather(data) == [0, 1]


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
