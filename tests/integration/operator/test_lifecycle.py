"""The life of a DaskCluster against a real server. Its Pods fit on no node; the test says how they are."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find, format_time
from dask_gpu_k8s.api.resources import (
    BUDGET,
    DASKCLUSTER,
    DASKWORKERGROUP,
    EVENT,
    NETWORKPOLICY,
    POD,
    RESOURCEQUOTA,
    SERVICE,
)
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from dask_gpu_k8s.kube.store import Store
from tests.integration.operator.conftest import a_cluster, eventually, running

SCHEDULER = "foo-scheduler"


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache hand out objects that refuse to be changed."""
    monkeypatch.setattr(Store, "frozen", True)


async def found(kube: KubeClient, resource: Any, name: str) -> dict[str, Any] | None:
    try:
        return await kube.get(resource, name)
    except NotFound:
        return None


async def until(kube: KubeClient, resource: Any, name: str, is_so: Any, seconds: float = 15.0) -> Any:
    async def check() -> Any:
        obj = await found(kube, resource, name)
        return obj is not None and is_so(obj) and obj

    return await eventually(check, seconds)


async def until_gone(kube: KubeClient, resource: Any, name: str) -> None:
    async def check() -> bool:
        return await found(kube, resource, name) is None

    await eventually(check)


async def until_phase(kube: KubeClient, phase: str) -> dict[str, Any]:
    cluster = await until(kube, DASKCLUSTER, "foo", lambda it: (it.get("status") or {}).get("phase") == phase)
    return dict(cluster["status"])


async def until_scheduler(kube: KubeClient, *, not_uid: str = "", seconds: float = 15.0) -> dict[str, Any]:
    pod = await until(kube, POD, SCHEDULER, lambda it: it["metadata"]["uid"] != not_uid, seconds)
    return dict(pod)


async def becomes_ready(
    kube: KubeClient, name: str = SCHEDULER, *, ready: bool = True, restarts: int = 0
) -> None:
    """Say of a Pod what its kubelet would say."""
    now = format_time(datetime.now(timezone.utc))
    container = {"name": "scheduler", "ready": ready, "restartCount": restarts, "image": "", "imageID": ""}
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": now}],
        "containerStatuses": [{**container, "state": {"running": {"startedAt": now}}}],
    }
    await kube.patch(POD, name, {"status": status}, sub="status")


async def edit(kube: KubeClient, **spec: Any) -> None:
    await kube.patch(DASKCLUSTER, "foo", {"spec": spec})


def condition(obj: dict[str, Any], type_: str) -> dict[str, Any]:
    return find((obj.get("status") or {}).get("conditions"), type_) or {}


async def until_says(kube: KubeClient, type_: str, reason: str) -> dict[str, Any]:
    cluster = await until(kube, DASKCLUSTER, "foo", lambda it: condition(it, type_).get("reason") == reason)
    return condition(cluster, type_)


async def is_up(kube: KubeClient, **spec: Any) -> str:
    """Make a cluster whose scheduler is ready; return the Pod's uid."""
    cluster = a_cluster("foo", 1)
    cluster["spec"].update(spec)
    await kube.create(DASKCLUSTER, cluster)
    pod = await until_scheduler(kube)
    await becomes_ready(kube)
    await until_phase(kube, "Running")
    return str(pod["metadata"]["uid"])


async def test_row_32_a_killed_scheduler_is_up_again_and_counted(kube):
    async with running(kube):
        uid = await is_up(kube)
        await kube.delete(POD, SCHEDULER)
        await until_scheduler(kube, not_uid=uid)
        assert (await until_says(kube, "SchedulerLost", "Replacing"))["status"] == "True"
        await becomes_ready(kube)
        assert (await until_phase(kube, "Running"))["schedulerRestarts"] == 1
        await until_says(kube, "SchedulerLost", "StartedAgain")


async def test_row_32_policy_fail_waits_for_people(kube):
    spec = a_cluster("foo", 1)["spec"]["scheduler"]
    async with running(kube) as operator:
        uid = await is_up(kube, scheduler={**spec, "lossPolicy": "Fail"})
        await kube.delete(POD, SCHEDULER)
        await until_phase(kube, "Failed")
        await kube.delete(SERVICE, SCHEDULER)
        runs = operator.controller.counts.runs
        await edit_label(kube)
        await eventually(lambda: has_looked(operator, runs + 1))
        assert await found(kube, POD, SCHEDULER) is None
        assert await found(kube, SERVICE, SCHEDULER) is None
    async with running(kube):
        await edit(kube, scheduler={"lossPolicy": "Restart"})
        await until_scheduler(kube, not_uid=uid)
        await becomes_ready(kube)
        await until_phase(kube, "Running")


async def edit_label(kube: KubeClient) -> None:
    await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"look": "again"}}})


async def has_looked(operator: Any, runs: int) -> bool:
    return operator.controller.counts.runs >= runs and len(operator._queue) == 0


async def has_run(operator: Any, runs: int) -> bool:
    return bool(operator.controller.counts.runs >= runs)


async def on_a_node_that_is_gone(kube: KubeClient, **metadata: Any) -> str:
    """Make a cluster whose scheduler runs on a node of which nothing is heard."""
    cluster = a_cluster("foo", 0)
    cluster["spec"]["scheduler"]["spec"] = {
        "nodeName": "gone",
        "terminationGracePeriodSeconds": 1,
        "containers": cluster["spec"]["scheduler"]["spec"]["containers"],
    }
    await kube.create(DASKCLUSTER, cluster)
    pod = await until_scheduler(kube)
    await becomes_ready(kube)
    await until_phase(kube, "Running")
    await becomes_ready(kube, ready=False)
    return str(pod["metadata"]["uid"])


async def test_row_32_a_scheduler_that_its_lost_node_cannot_end_is_replaced(kube):
    """Its grace is 1 s, and 10 s later it goes by force; without that it would stay for good."""
    async with running(kube):
        uid = await on_a_node_that_is_gone(kube)
        await kube.delete(POD, SCHEDULER)
        await until_says(kube, "SchedulerReady", "SchedulerTerminating")
        await until_scheduler(kube, not_uid=uid, seconds=20)
        assert "DeletedByForce" in await told(kube)


async def told(kube: KubeClient) -> list[str]:
    """Return the reasons of the Events about the cluster, oldest first."""
    items = (await kube.list(EVENT, fields="involvedObject.kind=DaskCluster"))["items"]
    return [item["reason"] for item in sorted(items, key=lambda it: int(it["metadata"]["resourceVersion"]))]


async def test_row_54_a_foreign_finalizer_that_keeps_the_name_is_named(kube):
    async with running(kube):
        uid = await is_up(kube)
        await kube.patch(POD, SCHEDULER, {"metadata": {"finalizers": ["dask.kopf.dev/logs"]}})
        await kube.delete(POD, SCHEDULER)
        said = await until_says(kube, "SchedulerReady", "NameBlocked")
        assert "dask.kopf.dev/logs" in said["message"]
        await kube.patch(POD, SCHEDULER, {"metadata": {"finalizers": None}})
        await until_scheduler(kube, not_uid=uid)


async def test_row_21_a_new_image_reaches_the_group_and_its_own_edit_stays(kube):
    def image(obj: dict[str, Any]) -> str:
        return str(obj["spec"]["worker"]["spec"]["containers"][0]["image"])

    async with running(kube) as operator:
        await is_up(kube)
        worker = a_cluster("foo")["spec"]["worker"]["spec"]
        new = {**worker, "containers": [{**worker["containers"][0], "image": "new"}]}
        await edit(kube, worker={"spec": new})
        await until(kube, DASKWORKERGROUP, "foo-default", lambda it: image(it) == "new")
        own = {**worker, "containers": [{**worker["containers"][0], "image": "own"}]}
        await kube.patch(DASKWORKERGROUP, "foo-default", {"spec": {"worker": {"spec": own}}})
        runs = operator.controller.counts.runs
        await edit_label(kube)
        await eventually(lambda: has_looked(operator, runs + 1))
    async with running(kube) as operator:
        await eventually(lambda: has_looked(operator, 2))
        group = await kube.get(DASKWORKERGROUP, "foo-default")
        assert image(group) == "own", "nor does a restart of the operator undo it"


async def test_row_21_an_edited_service_is_applied(kube):
    async with running(kube):
        await is_up(kube)
        before = await kube.get(SERVICE, SCHEDULER)
        ports = [{"name": "tcp-comm", "port": 9786}, {"name": "http-dashboard", "port": 9787}]
        await edit(kube, scheduler={"service": {"type": "NodePort", "ports": ports}})
        after = await until(kube, SERVICE, SCHEDULER, lambda it: it["spec"]["type"] == "NodePort")
        assert [port["port"] for port in after["spec"]["ports"]] == [9786, 9787]
        assert all(port["nodePort"] for port in after["spec"]["ports"])
        assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        await until(kube, SERVICE, "foo-service", lambda it: it["spec"]["ports"][0]["port"] == 9786)
        await edit(kube, scheduler={"service": {"type": "ClusterIP"}})
        inside = await until(kube, SERVICE, SCHEDULER, lambda it: it["spec"]["type"] == "ClusterIP")
        assert not any("nodePort" in port for port in inside["spec"]["ports"])


async def test_row_21_a_bad_scheduler_image_and_then_a_good_one(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 0))
        bad = await until_scheduler(kube)
        spec = a_cluster("foo")["spec"]["scheduler"]["spec"]
        good = {**spec, "containers": [{**spec["containers"][0], "image": "good"}]}
        await edit(kube, scheduler={"spec": good})
        pod = await until_scheduler(kube, not_uid=bad["metadata"]["uid"])
        assert pod["spec"]["containers"][0]["image"] == "good"
        await becomes_ready(kube)
        assert (await until_phase(kube, "Running"))["schedulerRestarts"] == 0
        await edit(kube, scheduler={"spec": spec})
        await until_says(kube, "UpToDate", "SchedulerOutdated")
        assert (await kube.get(POD, SCHEDULER))["metadata"]["uid"] == pod["metadata"]["uid"]
        await edit(kube, updateStrategy={"type": "Recreate"})
        await until_scheduler(kube, not_uid=pod["metadata"]["uid"])
        await until_says(kube, "UpToDate", "UpToDate")


async def test_the_budget_comes_with_the_cluster_and_goes_when_asked(kube):
    async with running(kube):
        await is_up(kube)
        budget = await until(kube, BUDGET, SCHEDULER, lambda it: True)
        assert budget["spec"]["minAvailable"] == 1
        assert budget["spec"]["selector"]["matchLabels"] == labels.of_scheduler("foo")
        (owner,) = budget["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("DaskCluster", "foo")
        await until_says(kube, "SchedulerProtected", "PodDisruptionBudget")
        await edit(kube, scheduler={"podDisruptionBudget": False})
        await until_gone(kube, BUDGET, SCHEDULER)
        await until_says(kube, "SchedulerProtected", "OptedOut")
        await edit(kube, scheduler={"podDisruptionBudget": None})
        await until(kube, BUDGET, SCHEDULER, lambda it: True)


async def test_row_39_a_network_policy_closes_the_cluster_and_opens_it_again(kube):
    async with running(kube):
        await is_up(kube, networkPolicy=True)
        policy = await until(kube, NETWORKPOLICY, "foo-network", lambda it: True)
        own = {"matchLabels": labels.of_cluster("foo")}
        assert policy["spec"] == {
            "podSelector": own,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": own}]}],
        }
        peer = {"namespaceSelector": {"matchLabels": {"team": "blue"}}}
        await edit(kube, networkPolicyFrom=[peer])
        await until(kube, NETWORKPOLICY, "foo-network", lambda it: peer in it["spec"]["ingress"][0]["from"])
        await edit(kube, networkPolicy=False)
        await until_gone(kube, NETWORKPOLICY, "foo-network")


async def limit_pods(kube: KubeClient, number: int) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    await kube.create(RESOURCEQUOTA, {**quota, "spec": {"hard": {"pods": str(number)}}})


async def test_row_54_the_scheduler_gets_what_the_quota_has(kube):
    """Of two Pods one is the scheduler, and the group says why there are no more."""
    await limit_pods(kube, 2)
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 3))
        said = await until_says(kube, "WorkersReady", "QuotaExceeded")
        assert "exceeded quota: few" in said["message"]
        names = [pod["metadata"]["name"] for pod in (await kube.list(POD))["items"]]
        assert len(names) == 2
        assert SCHEDULER in names


async def test_row_54_a_lost_scheduler_gets_its_place_in_the_quota_back(kube):
    """No worker takes it while the scheduler is on its way out, nor while there is none."""
    await limit_pods(kube, 2)
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 3))
        await until_says(kube, "WorkersReady", "QuotaExceeded")
        for _ in range(3):
            uid = (await kube.get(POD, SCHEDULER))["metadata"]["uid"]
            await kube.delete(POD, SCHEDULER)
            await until_scheduler(kube, not_uid=uid)


async def test_row_54_a_refusal_is_a_condition_and_not_a_loop(kube):
    await limit_pods(kube, 0)
    async with running(kube) as operator:
        await kube.create(DASKCLUSTER, a_cluster("foo", 3))
        said = await until_says(kube, "Accepted", "QuotaExceeded")
        assert "exceeded quota: few" in said["message"]
        assert (await until_phase(kube, "Error"))["conditions"]
        sent: list[str] = []
        request = kube.request

        async def noting(method: str, resource: Any, **more: Any) -> Any:
            sent.append(f"{method} {resource.plural}")
            return await request(method, resource, **more)

        kube.request = noting  # type: ignore[method-assign]
        runs = operator.controller.counts.runs
        for number in range(5):
            await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"look": str(number)}}})
            await eventually(lambda wanted=runs + number + 1: has_run(operator, wanted))
        assert sent == ["PATCH daskclusters"] * 5, "the operator itself has asked for nothing"
        assert (await told(kube)).count("QuotaExceeded") == 1


async def test_row_24_no_pod_while_suspended(kube):
    async with running(kube):
        await is_up(kube)
        await edit(kube, suspend=True)
        await until_phase(kube, "Suspended")
        assert (await kube.list(POD))["items"] == []
        assert await found(kube, SERVICE, SCHEDULER)
        assert await found(kube, DASKWORKERGROUP, "foo-default")
        await edit(kube, suspend=False)
        await until_scheduler(kube)
        await becomes_ready(kube)
        await until(kube, DASKCLUSTER, "foo", lambda it: it["status"].get("replicas") == 1)
        status = await until_phase(kube, "Running")
        assert status["schedulerRestarts"] == 0


async def test_row_24_a_cluster_may_be_born_suspended(kube):
    cluster = a_cluster("foo", 2)
    cluster["spec"]["suspend"] = True
    async with running(kube):
        await kube.create(DASKCLUSTER, cluster)
        await until_phase(kube, "Suspended")
        await until(kube, DASKWORKERGROUP, "foo-default", lambda it: it.get("status"))
        assert (await kube.list(POD))["items"] == []


async def test_row_51_events_are_transitions_however_often_it_is_looked(kube):
    """A life of a cluster, and a hundred reconciles more than it needs."""
    async with running(kube) as operator:
        await is_up(kube)
        for number in range(100):
            await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"look": str(number)}}})
        uid = (await kube.get(POD, SCHEDULER))["metadata"]["uid"]
        await kube.delete(POD, SCHEDULER)
        await until_scheduler(kube, not_uid=uid)
        await becomes_ready(kube)
        await until_says(kube, "SchedulerLost", "StartedAgain")
        await edit(kube, suspend=True)
        await until_phase(kube, "Suspended")
        await edit(kube, suspend=False)
        await until_scheduler(kube)
        await becomes_ready(kube)
        await until_phase(kube, "Running")
        for number in range(100):
            await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"look": str(number)}}})
        runs = operator.controller.counts.runs
        await edit_label(kube)
        await eventually(lambda: has_looked(operator, runs + 1))

        async def all_told() -> bool:
            return (await told(kube))[-1:] == ["SchedulerReady"]

        await eventually(all_told)
        assert await told(kube) == [
            "SchedulerReady",
            "SchedulerLost",
            "SchedulerReady",
            "Suspended",
            "Resumed",
            "SchedulerReady",
        ]
