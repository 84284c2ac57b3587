"""Beside and after dask-kubernetes' operator, with objects as it leaves them on a real Kubernetes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import (
    CRD,
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKWORKERGROUP,
    POD,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, NotFound
from dask_gpu_k8s.operator.upstream import observe, plan
from dask_gpu_k8s.operator.upstream.marks import FINALIZER
from tests.integration.operator.conftest import a_cluster, eventually, running

DEPLOYMENT = Resource("apps.example.org", "v1", "deployments", "Deployment", "deployment")
REPLICASET = Resource("apps.example.org", "v1", "replicasets", "ReplicaSet", "replicaset")
HANDLED = {"kopf.zalando.org/last-handled-configuration": '{"spec": {}}\n'}


@pytest.fixture
async def apps(kube: KubeClient, monkeypatch: pytest.MonkeyPatch) -> KubeClient:
    """Let the server keep Deployments and ReplicaSets, in a group where it may; tests play controllers."""
    for kind in (DEPLOYMENT, REPLICASET):
        with contextlib.suppress(AlreadyExists):
            await kube.create(CRD, _definition(kind))
        await eventually(lambda kind=kind: _is_served(kube, kind))
        for module in (observe, plan):
            monkeypatch.setattr(module, kind.kind.upper(), kind)
    return kube


def _definition(kind: Resource) -> Manifest:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    names = {"plural": kind.plural, "singular": kind.singular, "kind": kind.kind}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.full_name},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": [{**version, "subresources": {"status": {}}}],
        },
    }


async def _is_served(kube: KubeClient, kind: Resource) -> bool:
    """The kind is served."""
    found = await kube.get(CRD, kind.full_name)
    return any(
        each["type"] == "Established" and each["status"] == "True"
        for each in (found.get("status") or {}).get("conditions") or ()
    )


async def make(kube: KubeClient, kind: Resource, name: str, spec: Any, **metadata: Any) -> Manifest:
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec}
    return await kube.create(kind, {**body, "metadata": {"name": name, **metadata}})


def owned_by(owner: Manifest) -> list[Manifest]:
    meta = owner["metadata"]
    who = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
    return [{**who, "controller": True, "blockOwnerDeletion": True}]


async def a_living_cluster(kube: KubeClient) -> dict[str, Manifest]:
    """Make what dask-kubernetes makes of a DaskCluster of two workers; its Pods by component and number."""
    body = a_cluster("foo")
    marks = {"annotations": HANDLED, "finalizers": [FINALIZER]}
    cluster = await kube.create(DASKCLUSTER, {**body, "metadata": {"name": "foo", **marks}})
    await kube.patch(DASKCLUSTER, "foo", {"status": {"phase": "Running"}}, sub="status")
    of_group = {"ownerReferences": owned_by(cluster), "labels": labels.of_worker_group("foo")}
    spec = {"cluster": "foo", "worker": body["spec"]["worker"]}
    group = await make(kube, DASKWORKERGROUP, "foo-default", spec, annotations=HANDLED, **of_group)
    scaler = {"cluster": "foo", "minimum": 2, "maximum": 2}
    await make(kube, DASKAUTOSCALER, "foo", scaler, ownerReferences=owned_by(cluster), **marks)
    made = {"scheduler": await _deployed(kube, cluster, "foo-scheduler", labels.of_scheduler("foo"), body)}
    for name in ("foo-default-worker-6cedfb2d15", "foo-default-worker-f7ed0df6a2"):
        made[name] = await _deployed(kube, group, name, labels.of_workers("foo", "foo-default"), body)
    return made


async def _deployed(
    kube: KubeClient, owner: Manifest, name: str, own: dict[str, str], body: Manifest
) -> Manifest:
    deployment = await make(
        kube, DEPLOYMENT, name, {"replicas": 1}, labels=own, ownerReferences=owned_by(owner)
    )
    of_set = {**own, "pod-template-hash": "c458b4b8"}
    above = await make(
        kube, REPLICASET, f"{name}-c458b4b8", {}, labels=of_set, ownerReferences=owned_by(deployment)
    )
    spec = body["spec"]["worker"]["spec"]
    return await make(
        kube, POD, f"{name}-c458b4b8-x9rtd", spec, labels=of_set, ownerReferences=owned_by(above)
    )


async def condition(kube: KubeClient, type_: str) -> Manifest:
    status = (await kube.get(DASKCLUSTER, "foo")).get("status") or {}
    return find(status.get("conditions"), type_) or {}


async def _is_refused(kube: KubeClient) -> bool:
    """The cluster says that another operator looks after it."""
    return (await condition(kube, "Accepted")).get("reason") == "OtherOperator"


async def _is_accepted(kube: KubeClient) -> bool:
    """The cluster is ours."""
    await _observe(kube)
    return (await condition(kube, "Accepted")).get("status") == "True"


async def _observe(kube: KubeClient) -> None:
    """Do as the controller of Deployments: take note of what they are to be."""
    for each in (await kube.list(DEPLOYMENT))["items"]:
        observed = {"status": {"observedGeneration": each["metadata"]["generation"]}}
        if each.get("status") != observed["status"]:
            with contextlib.suppress(NotFound):
                await kube.patch(DEPLOYMENT, each["metadata"]["name"], observed, sub="status")


async def pods(kube: KubeClient) -> dict[str, Manifest]:
    return {pod["metadata"]["uid"]: pod for pod in (await kube.list(POD))["items"]}


async def test_its_clusters_are_left_alone(apps):
    made = await a_living_cluster(apps)
    async with running(apps):
        await eventually(lambda: _is_refused(apps))
        # A cluster of ours that is made later and is whole: then the other one would have been touched too.
        await apps.create(DASKCLUSTER, a_cluster("ours", 1))
        await eventually(lambda: _has_pods(apps, 5))
        assert len((await apps.list(DEPLOYMENT))["items"]) == 3
        left = await pods(apps)
        assert {pod["metadata"]["uid"] for pod in made.values()} <= left.keys()
        assert FINALIZER in (await apps.get(DASKCLUSTER, "foo"))["metadata"]["finalizers"]


async def _has_pods(kube: KubeClient, count: int) -> bool:
    """So many Pods are there."""
    return len(await pods(kube)) == count


@pytest.mark.parametrize("how", ["annotation", "setting"])
async def test_a_living_cluster_is_taken_over_with_its_pods(apps, how):
    made = await a_living_cluster(apps)
    async with running(apps, adopt=how == "setting"):
        if how == "annotation":
            await apps.patch(DASKCLUSTER, "foo", {"metadata": {"annotations": {labels.ADOPT: "true"}}})
        await eventually(lambda: _is_accepted(apps))
        cluster, group = await apps.get(DASKCLUSTER, "foo"), await apps.get(DASKWORKERGROUP, "foo-default")
        for obj in (cluster, group, await apps.get(DASKAUTOSCALER, "foo")):
            assert not obj["metadata"].get("finalizers")
            assert not HANDLED.keys() & (obj["metadata"].get("annotations") or {}).keys()
        assert (await apps.list(DEPLOYMENT))["items"] == []
        assert (await apps.list(REPLICASET))["items"] == []
        await eventually(lambda: _counts_two(apps))
        left = await pods(apps)
        assert left.keys() == {pod["metadata"]["uid"] for pod in made.values()}, "the same Pods, and no other"
        scheduler = left[made["scheduler"]["metadata"]["uid"]]
        assert scheduler["metadata"]["ownerReferences"][0]["uid"] == cluster["metadata"]["uid"]

        await apps.delete(DASKCLUSTER, "foo")
        await eventually(lambda: _has_pods(apps, 0))


async def _counts_two(kube: KubeClient) -> bool:
    """The group counts the workers that were taken over."""
    status = (await kube.get(DASKWORKERGROUP, "foo-default")).get("status") or {}
    return status.get("replicas") == 2


async def test_an_operator_that_is_stopped_at_any_step_goes_on(apps):
    """The cluster's marks go last: until then, whoever comes next begins where the other one stopped."""
    made = await a_living_cluster(apps)
    await apps.patch(DASKCLUSTER, "foo", {"metadata": {"annotations": {labels.ADOPT: "true"}}})
    for step in (_are_paused, _no_sets_are_left, _is_accepted):
        async with running(apps):
            await eventually(lambda step=step: step(apps))
    assert (await pods(apps)).keys() == {pod["metadata"]["uid"] for pod in made.values()}


async def _are_paused(kube: KubeClient) -> bool:
    """All Deployments are paused."""
    return all(each["spec"].get("paused") for each in (await kube.list(DEPLOYMENT))["items"])


async def _no_sets_are_left(kube: KubeClient) -> bool:
    """No ReplicaSet is left."""
    await _observe(kube)
    return not (await kube.list(REPLICASET))["items"]


async def test_row_25_a_deleted_cluster_that_waits_for_a_finalizer_of_the_other_operator(apps):
    await a_living_cluster(apps)
    await apps.delete(DASKCLUSTER, "foo")
    async with running(apps, adopt=True):
        await eventually(lambda: _has_pods(apps, 0))
        await eventually(lambda: _has_no_clusters(apps))


async def _has_no_clusters(kube: KubeClient) -> bool:
    """The cluster is gone."""
    return not (await kube.list(DASKCLUSTER))["items"]
