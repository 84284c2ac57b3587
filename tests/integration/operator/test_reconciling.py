"""The operator in the test's own process, against a real server; its Pods fit on no node, so none runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, DASKWORKERGROUP, EVENT, POD, SERVICE
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound, ServerError
from dask_gpu_k8s.kube.store import Store
from tests.integration.operator.conftest import a_cluster, eventually, running


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache hand out objects that refuse to be changed."""
    monkeypatch.setattr(Store, "frozen", True)


async def names(kube: KubeClient, resource: Any, **selector: str) -> list[str]:
    answer = await kube.list(resource, labels=selector or None)
    return sorted(item["metadata"]["name"] for item in answer["items"])


async def workers(kube: KubeClient, group: str = "foo-default") -> list[str]:
    return await names(kube, POD, **{labels.WORKERGROUP_NAME: group})


async def until_workers(kube: KubeClient, count: int, group: str = "foo-default") -> list[str]:
    async def check() -> list[str] | bool:
        found = await workers(kube, group)
        return len(found) == count and (found or True)

    return await eventually(check)


async def status_of(kube: KubeClient, resource: Any, name: str, **wanted: Any) -> dict[str, Any]:
    async def check() -> Any:
        try:
            status = (await kube.get(resource, name)).get("status") or {}
        except NotFound:
            return False
        return all(status.get(field) == value for field, value in wanted.items()) and status

    return await eventually(check)


async def scale(kube: KubeClient, resource: Any, name: str, replicas: int) -> None:
    await kube.patch(resource, name, {"spec": {"replicas": replicas}}, sub="scale")


async def test_a_cluster_and_what_becomes_of_it(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 3))
        status = await status_of(kube, DASKCLUSTER, "foo", phase="Pending", replicas=3, pendingWorkers=3)
        assert status["defaultGroupReplicas"] == 3
        assert await names(kube, SERVICE) == ["foo-scheduler", "foo-service"]
        assert await names(kube, DASKWORKERGROUP) == ["foo-default"]
        assert len(await workers(kube)) == 3
        group = await kube.get(DASKWORKERGROUP, "foo-default")
        assert group["status"]["counter"] == 3
        await kube.delete(DASKCLUSTER, "foo")
        await eventually(lambda: _nothing_left(kube))


async def _nothing_left(kube: KubeClient) -> bool:
    left = [await names(kube, resource) for resource in (POD, SERVICE, DASKWORKERGROUP, DASKCLUSTER)]
    return left == [[], [], [], []]


async def test_row_27_pods_that_were_never_scheduled_go_first_and_without_a_scheduler(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 3))
        before = await until_workers(kube, 3)
        await scale(kube, DASKCLUSTER, "foo", 1)
        after = await until_workers(kube, 1)
        assert set(after) < set(before)
        await status_of(kube, DASKCLUSTER, "foo", defaultGroupReplicas=1, replicas=1)


async def test_scaling_the_group_is_not_undone_and_editing_the_cluster_changes_it(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 1))
        await until_workers(kube, 1)
        await scale(kube, DASKWORKERGROUP, "foo-default", 4)
        await until_workers(kube, 4)
        await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"look": "again"}}})
        await kube.delete(POD, "foo-scheduler")
        await eventually(lambda: _exists(kube, POD, "foo-scheduler"))
        assert len(await workers(kube)) == 4
        await scale(kube, DASKCLUSTER, "foo", 2)
        await until_workers(kube, 2)


async def _exists(kube: KubeClient, resource: Any, name: str) -> bool:
    try:
        return bool(await kube.get(resource, name))
    except NotFound:
        return False


async def test_what_is_deleted_comes_back(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 2))
        first, _ = await until_workers(kube, 2)
        await kube.delete(SERVICE, "foo-service")
        await kube.delete(POD, "foo-scheduler")
        await kube.delete(POD, first)
        await eventually(lambda: _exists(kube, SERVICE, "foo-service"))
        await eventually(lambda: _exists(kube, POD, "foo-scheduler"))
        assert first not in await until_workers(kube, 2)
        group = await kube.get(DASKWORKERGROUP, "foo-default")
        await kube.delete(DASKWORKERGROUP, "foo-default")

        async def is_made_again() -> bool:
            there = await _exists(kube, DASKWORKERGROUP, "foo-default")
            return there and (await kube.get(DASKWORKERGROUP, "foo-default"))["metadata"]["uid"] != uid

        uid = group["metadata"]["uid"]
        await eventually(is_made_again)
        await status_of(kube, DASKWORKERGROUP, "foo-default", replicas=2)


async def test_a_users_group_waits_for_its_cluster_and_then_belongs_to_it(kube):
    worker = a_cluster("foo", 2)["spec"]["worker"]
    group = {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskWorkerGroup",
        "metadata": {"name": "gpus"},
        "spec": {"cluster": "foo", "worker": worker},
    }
    async with running(kube):
        await kube.create(DASKWORKERGROUP, group)
        status = await status_of(kube, DASKWORKERGROUP, "gpus", phase="Pending")
        assert find(status["conditions"], "Ready")["reason"] == "ClusterNotFound"
        await kube.create(DASKCLUSTER, a_cluster("foo", 1))
        await until_workers(kube, 2, "gpus")
        await status_of(kube, DASKCLUSTER, "foo", desiredWorkers=3, replicas=1)
        (owner,) = (await kube.get(DASKWORKERGROUP, "gpus"))["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("DaskCluster", "foo")


async def test_a_spec_that_cannot_be_and_is_mended(kube):
    bad = a_cluster("foo", 2)
    bad["spec"]["worker"]["spec"]["containers"] = []
    async with running(kube):
        await kube.create(DASKCLUSTER, bad)
        status = await status_of(kube, DASKWORKERGROUP, "foo-default", pendingReplicas=2)
        ready = find(status["conditions"], "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "Invalid")
        good = a_cluster("foo", 2)["spec"]["worker"]
        await kube.patch(DASKWORKERGROUP, "foo-default", {"spec": {"worker": good}})
        await until_workers(kube, 2)
        await status_of(kube, DASKWORKERGROUP, "foo-default", replicas=2)


async def test_two_clusters_of_the_same_name_one_after_the_other(kube):
    async with running(kube):
        for replicas in (1, 2, 3):
            await kube.create(DASKCLUSTER, a_cluster("foo", replicas))
            await status_of(kube, DASKCLUSTER, "foo", replicas=replicas, phase="Pending")
            await kube.delete(DASKCLUSTER, "foo")


async def test_a_restart_changes_nothing(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 2))
        await status_of(kube, DASKCLUSTER, "foo", replicas=2, phase="Pending")
    before = await workers(kube)
    writes = recording(kube)
    async with running(kube) as operator:
        await eventually(lambda: _has_looked(operator, 2))
    assert await workers(kube) == before
    assert writes == []


async def _has_looked(operator: Any, runs: int) -> bool:
    return operator.controller.counts.runs >= runs and len(operator._queue) == 0


def recording(kube: KubeClient, fail: Any = None) -> list[str]:
    """Note every write that goes through the client; `fail` may raise before or after it took effect."""
    writes: list[str] = []
    request = kube.request

    async def noting(method: str, resource: Any, **more: Any) -> Any:
        if method == "GET":
            return await request(method, resource, **more)
        number = len(writes)
        writes.append(f"{method} {resource.plural} {more.get('name') or ''} {more.get('sub') or ''}")
        if fail:
            return await fail(number, lambda: request(method, resource, **more))
        return await request(method, resource, **more)

    kube.request = noting  # type: ignore[method-assign]
    return writes


async def test_a_settled_cluster_is_not_written_to(kube):
    async with running(kube) as operator:
        await kube.create(DASKCLUSTER, a_cluster("foo", 2))
        await status_of(kube, DASKCLUSTER, "foo", replicas=2, phase="Pending")
        await eventually(lambda: _has_looked(operator, 1))
        writes = recording(kube)
        runs = operator.controller.counts.runs
        await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"look": "again"}}})
        await eventually(lambda: _has_looked(operator, runs + 1))
        assert writes == ["PATCH daskclusters foo "]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_any_one_write_may_fail(kube, after):
    """The n-th write fails, for every n, before or after it took effect; the end is the same."""
    number = 0
    while True:
        name = f"foo{number}"
        failed = await _run_with_fault(kube, name, number, after=after)
        if not failed:
            break
        number += 1
    assert number > 8


async def _run_with_fault(kube: KubeClient, name: str, number: int, *, after: bool) -> bool:
    hit = False

    async def fail(this: int, send: Any) -> Any:
        nonlocal hit
        if this != number:
            return await send()
        hit = True
        if after:
            await send()
        raise ServerError(500, "InternalError", "injected", {}, "x")

    plain = kube.request
    await kube.create(DASKCLUSTER, a_cluster(name, 2))
    recording(kube, fail)
    try:
        async with running(kube):
            status = await status_of(kube, DASKCLUSTER, name, replicas=2, pendingWorkers=2, phase="Pending")
            assert find(status["conditions"], "Accepted")["status"] == "True"
            assert len(await workers(kube, f"{name}-default")) == 2
            assert status["defaultGroupReplicas"] == 2
            assert len(await names(kube, SERVICE, **{labels.CLUSTER_NAME: name})) == 2
    finally:
        kube.request = plain  # type: ignore[method-assign]
    await kube.delete(DASKCLUSTER, name)
    return hit


async def test_transitions_are_told_as_events(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 2))
        await until_workers(kube, 2)

        async def told() -> Any:
            items = (await kube.list(EVENT))["items"]
            return [item for item in items if item["reason"] == "ScalingUp"]

        (event,) = await eventually(told)
        assert event["involvedObject"]["kind"] == "DaskWorkerGroup"
        assert event["message"] == "Created 2 worker Pods."


async def test_many_at_once(kube):
    async with running(kube):
        await asyncio.gather(*(kube.create(DASKCLUSTER, a_cluster(f"c{i}", 3)) for i in range(10)))
        for i in range(10):
            await status_of(kube, DASKCLUSTER, f"c{i}", replicas=3, phase="Pending")
        assert len(await names(kube, POD)) == 40


async def test_a_job_makes_its_cluster_and_its_runner(kube):
    spec = a_cluster("foo", 1)["spec"]
    job = {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {"name": "foo", "labels": {"flyte.org/managed": "true"}},
        "spec": {"cluster": {"spec": spec}, "job": {"spec": spec["worker"]["spec"]}},
        "status": {"jobStatus": "", "startTime": None, "endTime": None},
    }
    async with running(kube):
        await kube.create(DASKJOB, job, strict=False)
        status = await status_of(kube, DASKJOB, "foo", jobStatus="ClusterCreated", clusterName="foo")
        assert status["jobRunnerPodName"] == "foo-runner"
        await until_workers(kube, 1)
        assert len(await names(kube, POD, **{"flyte.org/managed": "true"})) == 3
        await kube.delete(DASKJOB, "foo")
        await eventually(lambda: _nothing_left(kube))
