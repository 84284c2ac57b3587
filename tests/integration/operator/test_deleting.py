"""How things go: with the operator fast and never what is to stay, without it all the same."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import (
    DASK_RESOURCES,
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    NAMESPACE,
    POD,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from tests.integration.operator.conftest import a_cluster, eventually, running

HOLD = "example.org/hold"


def of(kind: Resource, name: str, spec: dict[str, Any], **metadata: Any) -> Manifest:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


async def items(kube: KubeClient, resource: Resource = POD) -> list[Manifest]:
    found: list[Manifest] = (await kube.list(resource))["items"]
    return found


async def until_pods(kube: KubeClient, count: int, seconds: float = 15.0) -> None:
    async def check() -> bool:
        return len(await items(kube)) == count

    check.__doc__ = f"{count} Pods"
    await eventually(check, seconds)


async def until_gone(kube: KubeClient, resource: Resource, name: str, seconds: float = 15.0) -> None:
    async def check() -> bool:
        return all(item["metadata"]["name"] != name for item in await items(kube, resource))

    check.__doc__ = f"{resource.singular} {name} is gone"
    await eventually(check, seconds)


async def test_500_pods_of_a_deleted_cluster_go_at_once(kube):
    """The collector has no part in it: it waits for the cluster, which somebody else's finalizer holds."""
    async with running(kube):
        cluster = a_cluster("foo", 499)
        await kube.create(DASKCLUSTER, {**cluster, "metadata": {**cluster["metadata"], "finalizers": [HOLD]}})
        await until_pods(kube, 500, 60)
        await kube.delete(DASKCLUSTER, "foo")
        await until_pods(kube, 0)
        assert [item["metadata"]["name"] for item in await items(kube, DASKCLUSTER)] == ["foo"]
        await kube.patch(DASKCLUSTER, "foo", {"metadata": {"finalizers": []}})


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_deletion_takes_everything(kube, propagation):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo"))
        await until_pods(kube, 3)
        await kube.delete(DASKCLUSTER, "foo", propagation=propagation)
        await until_gone(kube, DASKCLUSTER, "foo")
        if propagation == "Foreground":
            assert await items(kube) == [], "the cluster goes last"
        await until_pods(kube, 0)
        for resource in (DASKWORKERGROUP, SERVICE):
            await eventually(lambda resource=resource: _none(kube, resource))


async def _none(kube: KubeClient, resource: Resource) -> bool:
    """Nothing of the kind is left."""
    return not await items(kube, resource)


async def test_orphans_stay(kube):
    async with running(kube) as operator:
        await kube.create(DASKCLUSTER, a_cluster("foo"))
        await until_pods(kube, 3)
        before = sorted(pod["metadata"]["uid"] for pod in await items(kube))
        await kube.delete(DASKCLUSTER, "foo", propagation="Orphan")
        await until_gone(kube, DASKCLUSTER, "foo")
        # Whatever the operator does about it, it has done before the next cluster is there.
        await kube.create(DASKCLUSTER, a_cluster("bar", 1))
        await until_pods(kube, 5)
        left = {pod["metadata"]["uid"]: pod for pod in await items(kube)}
        assert left.keys() >= set(before)
        assert all("deletionTimestamp" not in left[uid]["metadata"] for uid in before)
        (group,) = [item for item in await items(kube, DASKWORKERGROUP) if item["spec"]["cluster"] == "foo"]
        assert not group["metadata"].get("ownerReferences")
        assert operator.controller.counts.errors == 0


async def test_a_cluster_made_again_at_once_under_the_same_name(kube):
    async with running(kube):
        uids: set[str] = set()
        for _ in range(10):
            made = await kube.create(DASKCLUSTER, a_cluster("foo"))
            uid = made["metadata"]["uid"]
            await eventually(lambda uid=uid: _is_whole(kube, uid))
            uids |= {pod["metadata"]["uid"] for pod in await items(kube)}
            await kube.delete(DASKCLUSTER, "foo")
        assert len(uids) >= 30, "no Pod of one cluster was taken for one of the next"


async def _is_whole(kube: KubeClient, uid: str) -> bool:
    """The cluster has its Pods, and nothing of an earlier one is left."""
    pods = await items(kube)
    groups = await items(kube, DASKWORKERGROUP)
    own = {uid, *(group["metadata"]["uid"] for group in groups if _owner(group) == uid)}
    return len(pods) == 3 and all(_owner(pod) in own for pod in pods)


def _owner(obj: Manifest) -> str:
    return str(obj["metadata"]["ownerReferences"][0]["uid"])


async def test_row_25_nothing_of_ours_holds_a_finalizer(kube):
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo"))
        await _make_the_rest(kube)
        await until_pods(kube, 7)
        found = [item for resource in (*DASK_RESOURCES, POD, SERVICE) for item in await items(kube, resource)]
        assert len(found) > 10
        assert [item["metadata"]["name"] for item in found if item["metadata"].get("finalizers")] == []


async def _make_the_rest(kube: KubeClient) -> None:
    """Make one of each kind that belongs to a cluster, and a job."""
    spec = a_cluster("foo")["spec"]
    await kube.create(
        DASKWORKERGROUP, of(DASKWORKERGROUP, "foo-more", {"cluster": "foo", "worker": spec["worker"]})
    )
    scaler = {"cluster": "foo", "minimum": 2, "maximum": 2}
    await kube.create(DASKAUTOSCALER, of(DASKAUTOSCALER, "foo", scaler))
    nowhere = {"nodeSelector": {"kubernetes.io/hostname": "nowhere"}}
    runner = {**nowhere, "containers": [{"name": "runner", "image": "any", "command": ["true"]}]}
    few = {**spec, "worker": {**spec["worker"], "replicas": 0}}
    await kube.create(DASKJOB, of(DASKJOB, "work", {"cluster": {"spec": few}, "job": {"spec": runner}}))


@pytest.mark.parametrize("at_once", ["kinds", "namespace"])
async def test_row_25_everything_goes_in_30_s_without_an_operator(bare_kubeconfig, at_once):
    async with KubeClient.connect(bare_kubeconfig) as kube:
        kube.namespace = f"unattended-{at_once}"
        await kube.create(NAMESPACE, {"metadata": {"name": kube.namespace}})
        async with running(kube):
            await kube.create(DASKCLUSTER, a_cluster("foo"))
            await _make_the_rest(kube)
            await until_pods(kube, 7)
        start = time.monotonic()
        if at_once == "kinds":
            for resource in reversed(DASK_RESOURCES):
                for item in await items(kube, resource):
                    await _delete(kube, resource, item["metadata"]["name"])
            for resource in (*DASK_RESOURCES, POD, SERVICE):
                await eventually(lambda resource=resource: _none(kube, resource), 30)
        await kube.delete(NAMESPACE, kube.namespace)
        await eventually(lambda: _namespace_is_gone(kube), 30)
        assert time.monotonic() - start < 30


async def _delete(kube: KubeClient, resource: Resource, name: str) -> None:
    try:
        await kube.delete(resource, name)
    except NotFound:
        pass  # it went with its owner


async def _namespace_is_gone(kube: KubeClient) -> bool:
    """The namespace is gone."""
    try:
        await kube.get(NAMESPACE, kube.namespace)
    except NotFound:
        return True
    return False


async def test_reana_an_autoscaler_outlives_what_the_operator_deletes(kube):
    """REANA deletes it after the cluster and takes a 404 for an error; a finalizer holds the cluster."""
    async with running(kube):
        cluster = a_cluster("foo")
        made = await kube.create(
            DASKCLUSTER, {**cluster, "metadata": {**cluster["metadata"], "finalizers": [HOLD]}}
        )
        owner = {"apiVersion": made["apiVersion"], "kind": "DaskCluster", "name": "foo"}
        owner["uid"] = made["metadata"]["uid"]
        scaler = {"cluster": "foo", "minimum": 0, "maximum": 2}
        await kube.create(DASKAUTOSCALER, of(DASKAUTOSCALER, "other", scaler, ownerReferences=[owner]))
        await eventually(lambda: _is_whole_of_one(kube))
        await kube.delete(DASKCLUSTER, "foo")
        await until_pods(kube, 0)
        await kube.delete(DASKAUTOSCALER, "other")
        await kube.patch(DASKCLUSTER, "foo", {"metadata": {"finalizers": []}})
        await until_gone(kube, DASKCLUSTER, "foo")


async def _is_whole_of_one(kube: KubeClient) -> bool:
    """The scheduler Pod is there."""
    await asyncio.sleep(0)
    return any(
        (item["metadata"].get("labels") or {}).get(labels.COMPONENT) == labels.SCHEDULER
        for item in await items(kube)
    )
