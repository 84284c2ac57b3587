"""Autoscalers beside everybody else who writes to their groups and clusters.

The Pods run nowhere; the scheduler in the test's process says what the test wants it to say.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from dask_gpu_k8s.operator.daskautoscaler import plan
from dask_gpu_k8s.operator.engine.demand import GroupLoad
from dask_gpu_k8s.operator.schedulers import demand, demand_preload
from tests.conftest import KUBECTL
from tests.integration.operator import test_shrinking
from tests.integration.operator.conftest import a_cluster, eventually, running
from tests.integration.operator.test_shrinking import Stage, on_stage, spread

in_a_pod = test_shrinking.in_a_pod
POLL = 0.2


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask schedulers more often than one would."""
    monkeypatch.setattr(plan, "POLL", POLL)
    monkeypatch.setattr(demand, "FRESH", POLL / 2)


class Wanting:
    """A scheduler's answer: so many plain tasks of a minute each, and no more."""

    def __init__(self, stage: Stage, tasks: int) -> None:
        self.tasks = tasks
        self.asked = 0
        self.loads: dict[str, GroupLoad] = {}
        stage.scheduler.handlers["dask_operator_demand"] = self.answer

    def answer(self) -> dict[str, Any]:
        self.asked += 1
        work = {"needs": {}, "tasks": self.tasks, "seconds": 60.0 * self.tasks}
        return {
            "target_duration": 5.0,
            "work": [work] if self.tasks else [],
            "groups": {name: vars(load) for name, load in self.loads.items()},
        }

    async def asked_again(self, times: int = 5) -> None:
        """Wait until the operator has looked a few times more."""
        goal = self.asked + times

        async def is_reached() -> bool:
            return self.asked >= goal

        await eventually(is_reached)


def an_autoscaler(name: str, cluster: str = "foo", window: int = 0, **spec: Any) -> dict[str, Any]:
    down = {"stabilizationWindowSeconds": window}
    return {
        "apiVersion": DASKAUTOSCALER.api_version,
        "kind": DASKAUTOSCALER.kind,
        "metadata": {"name": name},
        "spec": {"cluster": cluster, "minimum": 0, "maximum": 10, "scaleDown": down, **spec},
    }


async def group_of(kube: KubeClient, name: str = "foo-default") -> dict[str, Any]:
    return dict(await kube.get(DASKWORKERGROUP, name))


async def has_size(kube: KubeClient, size: int, name: str = "foo-default") -> None:
    """Wait until a group asks for so many workers and has them, and nothing is on its way out."""

    async def has() -> bool:
        try:
            group = await group_of(kube, name)
        except NotFound:
            return False
        status = group.get("status") or {}
        pods = (await kube.list(POD, labels={labels.WORKERGROUP_NAME: name}))["items"]
        sizes = (group["spec"]["worker"]["replicas"], status.get("replicas"), len(pods))
        return sizes == (size, size, size)

    await eventually(has)


async def condition(kube: KubeClient, name: str, type_: str = "Active") -> dict[str, Any]:
    scaler = await kube.get(DASKAUTOSCALER, name)
    return dict(find((scaler.get("status") or {}).get("conditions"), type_) or {})


async def uids(kube: KubeClient) -> set[str]:
    return {pod["metadata"]["uid"] for pod in (await kube.list(POD))["items"]}


async def test_gitops_applying_everything_again_and_again_moves_no_pod(kube, bare_kubeconfig):
    """The manifests say replicas, the autoscalers say otherwise: the Pods follow the autoscalers."""
    async with on_stage(kube, "foo") as stage, running(kube):
        more = a_cluster("foo", 1)["spec"]["worker"]
        group = {
            "apiVersion": DASKWORKERGROUP.api_version, "kind": DASKWORKERGROUP.kind,
            "metadata": {"name": "foo-more"}, "spec": {"cluster": "foo", "worker": more},
        }  # fmt: skip
        wanting = Wanting(stage, 7)
        manifests = [
            _with_port(stage, a_cluster("foo", 1)),
            group,
            an_autoscaler("first", maximum=4),
            an_autoscaler("second", workerGroup="foo-more", priority=1),
        ]
        await _apply(bare_kubeconfig, kube, manifests)
        await eventually(lambda: _has_scheduler(stage))
        await has_size(kube, 4)
        await has_size(kube, 3, "foo-more")
        before = await uids(kube)
        for replicas in (1, 0, 6, 1):
            manifests[0]["spec"]["worker"]["replicas"] = replicas
            group["spec"]["worker"]["replicas"] = replicas
            await _apply(bare_kubeconfig, kube, manifests)
            await has_size(kube, 4)
            await has_size(kube, 3, "foo-more")
        await wanting.asked_again()
        assert await uids(kube) == before
        groups = [await group_of(kube), await group_of(kube, "foo-more")]
        assert [each["status"]["counter"] for each in groups] == [4, 3], "a worker was made and taken away"


def _with_port(stage: Stage, cluster: dict[str, Any]) -> dict[str, Any]:
    container = cluster["spec"]["scheduler"]["spec"]["containers"][0]
    container["ports"] = [{"name": "tcp-comm", "containerPort": stage.scheduler.port}]
    return cluster


async def _apply(kubeconfig: Path, kube: KubeClient, manifests: list[dict[str, Any]]) -> None:
    words = [str(KUBECTL), "--namespace", kube.namespace, "apply", "-f", "-"]
    text = "\n---\n".join(map(json.dumps, manifests))
    env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    run = asyncio.to_thread(
        subprocess.run, words, input=text, text=True, env=env, capture_output=True, check=True
    )
    await run


async def _has_scheduler(stage: Stage) -> bool:
    """Bring the scheduler's Pod to life."""
    try:
        await stage._live(await stage.kube.get(POD, f"{stage.name}-scheduler"))
    except NotFound:
        return False
    return True


async def test_an_autoscaler_that_goes_leaves_the_size_and_frees_the_group(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        wanting = Wanting(stage, 4)
        await stage.start(1)
        await kube.create(DASKAUTOSCALER, an_autoscaler("any"))
        await has_size(kube, 4)
        # Edits of the cluster are not passed on meanwhile, nor kept for later.
        await stage.scale(2)
        await wanting.asked_again()
        await kube.delete(DASKAUTOSCALER, "any")
        await has_size(kube, 4)
        await stage.scale(5)
        await has_size(kube, 5)


async def test_of_two_the_younger_waits_and_takes_over(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        Wanting(stage, 9)
        await stage.start(1)
        await kube.create(DASKAUTOSCALER, an_autoscaler("a-first", maximum=3))
        await has_size(kube, 3)
        await kube.create(DASKAUTOSCALER, an_autoscaler("b-second", maximum=5))

        async def is_told() -> bool:
            return (await condition(kube, "b-second")).get("reason") == "AnotherAutoscaler"

        await eventually(is_told)
        await has_size(kube, 3)
        await kube.delete(DASKAUTOSCALER, "a-first")
        await has_size(kube, 5)


async def test_settled_means_no_writes(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        wanting = Wanting(stage, 3)
        await stage.start(1)
        await kube.create(DASKAUTOSCALER, an_autoscaler("any", window=60))
        await has_size(kube, 3)
        await wanting.asked_again()
        versions = [await kube.get(DASKAUTOSCALER, "any"), await group_of(kube)]
        for tasks in (2, 3, 1, 3):
            wanting.tasks = tasks
            await wanting.asked_again(2)
        now = [await kube.get(DASKAUTOSCALER, "any"), await group_of(kube)]
        assert [each["metadata"]["resourceVersion"] for each in now] == [
            each["metadata"]["resourceVersion"] for each in versions
        ]


async def test_a_restarted_operator_goes_on_from_what_was_decided(kube):
    async with on_stage(kube, "foo") as stage:
        wanting = Wanting(stage, 4)
        async with running(kube):
            await stage.start(1)
            await kube.create(DASKAUTOSCALER, an_autoscaler("any", window=3600))
            await has_size(kube, 4)
        wanting.tasks = 0
        # Somebody edits the group while nobody looks.
        await kube.patch(DASKWORKERGROUP, "foo-default", {"spec": {"worker": {"replicas": 1}}})
        before = await uids(kube)
        async with running(kube):
            await wanting.asked_again()
            await has_size(kube, 4)
        assert await uids(kube) == before


async def test_a_scheduler_that_does_not_answer_changes_nothing(kube):
    async with on_stage(kube, "foo") as stage, running(kube):
        wanting = Wanting(stage, 3)
        await stage.start(1)
        await kube.create(DASKAUTOSCALER, an_autoscaler("any"))
        await has_size(kube, 3)
        await kube.patch(POD, "foo-scheduler", {"status": {"podIP": "127.9.9.9"}}, sub="status")

        async def is_told() -> bool:
            active = await condition(kube, "any")
            return active.get("reason") == "SchedulerUnreachable" and "127.9.9.9" in active["message"]

        await eventually(is_told)
        # Not before: until the operator hears of the other address, it may ask at the old one.
        wanting.tasks = 0
        await has_size(kube, 3)
        await kube.patch(POD, "foo-scheduler", {"status": {"podIP": "127.0.0.1"}}, sub="status")
        await has_size(kube, 0)


async def test_an_autoscaler_never_drops_a_sole_copy(kube):
    """It learns too late that there is data: the workers stay, which a person's 0 would take away."""
    async with on_stage(kube, "foo") as stage, running(kube):
        Wanting(stage, 0)
        await stage.start(2)
        data = await spread(stage)
        await kube.create(DASKAUTOSCALER, an_autoscaler("any"))

        async def is_told() -> bool:
            shrinking = find((await group_of(kube))["status"].get("conditions"), "ScalingDown") or {}
            return shrinking.get("reason") == "DataCannotMove"

        await eventually(is_told)
        assert await stage.client.gather(data) == [0, 1]
        assert len(await stage.pods()) == 2
        await kube.delete(DASKAUTOSCALER, "any")
        await stage.settled(0)


async def test_a_group_that_holds_data_is_not_scaled_to_0(kube):
    """The scheduler says what it holds, and as soon as that is let go, the last worker goes."""
    async with on_stage(kube, "foo") as stage, running(kube):
        await demand_preload.dask_setup(stage.scheduler)
        await stage.start(2)
        data = await stage.client.scatter([1], workers=[next(iter(stage.workers.values())).address])
        for worker in stage.workers.values():
            worker.memory_manager.memory_limit = 10**9
        for state in stage.scheduler.workers.values():
            state.memory_limit = 10**9
        await kube.create(DASKAUTOSCALER, an_autoscaler("any"))
        await stage.settled(1)
        assert await stage.client.gather(data) == [1]
        data.clear()
        await stage.settled(0)


async def test_the_scale_subresource_is_what_a_pod_autoscaler_needs(kube):
    """A HorizontalPodAutoscaler reads replicas and selector there, finds the Pods by it, and writes there."""
    async with on_stage(kube, "foo") as stage, running(kube):
        await stage.start(2)
        await stage.settled(2)
        for resource, name in ((DASKWORKERGROUP, "foo-default"), (DASKCLUSTER, "foo")):

            async def scale(resource: Any = resource, name: str = name) -> dict[str, Any]:
                found = dict(await kube.request("GET", resource, name=name, sub="scale"))
                del found["metadata"]["resourceVersion"]  # The status may be written meanwhile.
                return found

            async def counts(scale: Any = scale) -> bool:
                return (await scale()).get("status", {}).get("replicas") == 2

            await eventually(counts)
            there = await scale()
            assert (there["apiVersion"], there["kind"]) == ("autoscaling/v1", "Scale")
            assert there["spec"]["replicas"] == 2
            found = (await kube.list(POD, labels=there["status"]["selector"]))["items"]
            assert {pod["metadata"]["name"] for pod in found} == set(stage.workers)
            there["spec"]["replicas"] = 3
            await kube.request("PUT", resource, name=name, sub="scale", body=there)
            await has_size(kube, 3)
            there = await scale()
            there["spec"]["replicas"] = 2
            await kube.request("PUT", resource, name=name, sub="scale", body=there)
            await has_size(kube, 2)


async def test_it_goes_with_its_cluster_and_not_before(kube):
    """REANA deletes the cluster and then the autoscaler, and takes a 404 for an error."""
    async with on_stage(kube, "foo") as stage, running(kube):
        Wanting(stage, 1)
        await kube.create(DASKAUTOSCALER, an_autoscaler("other-name"))

        async def misses_its_cluster() -> bool:
            return (await condition(kube, "other-name")).get("reason") == "ClusterNotFound"

        await eventually(misses_its_cluster)
        await stage.start(1)

        async def is_adopted() -> bool:
            scaler = await kube.get(DASKAUTOSCALER, "other-name")
            return bool(scaler["metadata"].get("ownerReferences"))

        await eventually(is_adopted)
        await kube.delete(DASKCLUSTER, "foo", propagation="Background")

        async def is_gone() -> bool:
            return not (await kube.list(DASKAUTOSCALER))["items"]

        await eventually(is_gone)
