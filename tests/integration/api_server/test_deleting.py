"""Deletion: preconditions, finalizers, owners, namespaces."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api.resources import CONFIGMAP, NAMESPACE, POD, SERVICE, Resource
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Conflict, Forbidden, Invalid, NotFound
from tests.integration.api_server.conftest import (
    SERVICE_ACCOUNT,
    Ask,
    World,
    causes,
    eventually,
    gone,
    path_of,
)
from tests.integration.api_server.gadgets import config_map, gadget, owner, pod, service

GARBAGE_COLLECTION = pytest.mark.needs("controllers: garbage collection")
COLLECTED = 75
"""Seconds: a real collector looks for new kinds twice a minute, and collects nothing while it learns them."""
NAMESPACE_DELETION = pytest.mark.needs("controllers: deletion of namespaces")


async def test_the_answer_to_a_deletion(kube: KubeClient, gadgets: Resource, name: str) -> None:
    made = await kube.create(gadgets, gadget(gadgets, name))
    answer = await kube.delete(gadgets, name)
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {
        "name": name,
        "group": gadgets.group,
        "kind": "gadgets",
        "uid": made["metadata"]["uid"],
    }
    with pytest.raises(NotFound):
        await kube.delete(gadgets, name)


@pytest.mark.parametrize("resource", [POD, SERVICE], ids=["pod", "service"])
async def test_some_kinds_answer_with_the_object(kube: KubeClient, name: str, resource: Resource) -> None:
    await kube.create(resource, pod(name) if resource is POD else service(name))
    assert (await kube.delete(resource, name))["kind"] == resource.kind
    assert await gone(kube, resource, name)


async def test_preconditions(kube: KubeClient, name: str) -> None:
    made = await kube.create(CONFIGMAP, config_map(name))
    with pytest.raises(Conflict, match="the UID in the precondition"):
        await kube.delete(CONFIGMAP, name, uid="other")
    with pytest.raises(Conflict, match="the ResourceVersion in the precondition"):
        await kube.delete(CONFIGMAP, name, resource_version="1")
    meta = made["metadata"]
    await kube.delete(CONFIGMAP, name, uid=meta["uid"], resource_version=meta["resourceVersion"])
    assert await gone(kube, CONFIGMAP, name)


async def test_an_unknown_propagation_is_invalid(kube: KubeClient, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    with pytest.raises(Invalid) as caught:
        await kube.delete(CONFIGMAP, name, propagation="Sideways")
    assert causes(caught.value) == {"propagationPolicy": "FieldValueNotSupported"}


async def test_a_dry_run_deletes_nothing(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    await ask("DELETE", path_of(world, CONFIGMAP, name) + "?dryRun=All")
    assert not await gone(kube, CONFIGMAP, name)


async def test_a_collection(world: World, kube: KubeClient, gadgets: Resource, ask: Ask, name: str) -> None:
    for suffix in ("a", "b"):
        await kube.create(gadgets, gadget(gadgets, f"{name}-{suffix}", labels={"app": name}))
    await kube.create(gadgets, gadget(gadgets, f"{name}-c"))
    await ask("DELETE", f"{path_of(world, gadgets)}?labelSelector=app%3D{name}")
    assert await gone(kube, gadgets, f"{name}-a")
    assert await gone(kube, gadgets, f"{name}-b")
    assert not await gone(kube, gadgets, f"{name}-c")


async def test_a_finalizer_holds_an_object(kube: KubeClient, gadgets: Resource, name: str) -> None:
    await kube.create(gadgets, gadget(gadgets, name, finalizers=["example.com/hold"]))
    marked = (await kube.delete(gadgets, name))["metadata"]
    assert marked["deletionTimestamp"]
    assert marked["deletionGracePeriodSeconds"] == 0
    assert marked["generation"] == 2
    again = (await kube.delete(gadgets, name))["metadata"]
    assert again["resourceVersion"] == marked["resourceVersion"]
    added = ["example.com/hold", "example.com/more"]
    with pytest.raises(Invalid, match="no new finalizers can be added if the object is being deleted"):
        await kube.patch(gadgets, name, {"metadata": {"finalizers": added}})
    changed = await kube.patch(gadgets, name, {"spec": {"size": 5}})
    assert changed["spec"]["size"] == 5
    await kube.patch(gadgets, name, {"metadata": {"finalizers": None}})
    assert await gone(kube, gadgets, name)


@GARBAGE_COLLECTION
async def test_dependents_go_with_their_owner(kube: KubeClient, gadgets: Resource, name: str) -> None:
    parent = await kube.create(gadgets, gadget(gadgets, name))
    child = await kube.create(CONFIGMAP, config_map(name, ownerReferences=[owner(parent)]))
    await kube.create(POD, pod(name, ownerReferences=[owner(child)]))
    await kube.delete(gadgets, name, propagation="Background")

    async def all_gone() -> bool:
        return await gone(kube, CONFIGMAP, name) and await gone(kube, POD, name)

    await eventually(all_gone, COLLECTED)


@GARBAGE_COLLECTION
async def test_a_dependent_of_two_stays_with_the_other(
    kube: KubeClient, gadgets: Resource, name: str
) -> None:
    parents = [await kube.create(gadgets, gadget(gadgets, f"{name}-{n}")) for n in "ab"]
    await kube.create(CONFIGMAP, config_map(name, ownerReferences=[owner(parent) for parent in parents]))
    await kube.delete(gadgets, f"{name}-a")

    async def one_left() -> bool:
        references = (await kube.get(CONFIGMAP, name))["metadata"]["ownerReferences"]
        return [reference["name"] for reference in references] == [f"{name}-b"]

    await eventually(one_left, COLLECTED)


@GARBAGE_COLLECTION
async def test_what_has_no_owner_any_more_goes(kube: KubeClient, gadgets: Resource, name: str) -> None:
    parent = await kube.create(gadgets, gadget(gadgets, name))
    await kube.delete(gadgets, name)
    await kube.create(CONFIGMAP, config_map(name, ownerReferences=[owner(parent)]))
    await eventually(lambda: gone(kube, CONFIGMAP, name), COLLECTED)


@GARBAGE_COLLECTION
async def test_orphans_stay(kube: KubeClient, gadgets: Resource, name: str) -> None:
    parent = await kube.create(gadgets, gadget(gadgets, name))
    await kube.create(CONFIGMAP, config_map(name, ownerReferences=[owner(parent)]))
    await kube.delete(gadgets, name, propagation="Orphan")
    await eventually(lambda: gone(kube, gadgets, name), COLLECTED)
    assert "ownerReferences" not in (await kube.get(CONFIGMAP, name))["metadata"]


@GARBAGE_COLLECTION
async def test_in_the_foreground_dependents_go_first(kube: KubeClient, gadgets: Resource, name: str) -> None:
    parent = await kube.create(gadgets, gadget(gadgets, name))
    reference = owner(parent, blockOwnerDeletion=True)
    await kube.create(
        CONFIGMAP, config_map(name, ownerReferences=[reference], finalizers=["example.com/hold"])
    )
    marked = (await kube.delete(gadgets, name, propagation="Foreground"))["metadata"]
    assert marked["finalizers"] == ["foregroundDeletion"]

    async def child_is_marked() -> bool:
        return "deletionTimestamp" in (await kube.get(CONFIGMAP, name))["metadata"]

    await eventually(child_is_marked, COLLECTED)
    assert not await gone(kube, gadgets, name)
    await kube.patch(CONFIGMAP, name, {"metadata": {"finalizers": None}})
    await eventually(lambda: gone(kube, gadgets, name), COLLECTED)


@NAMESPACE_DELETION
async def test_a_namespace_takes_all_along(kube: KubeClient, gadgets: Resource, name: str) -> None:
    made = await kube.create(NAMESPACE, {"metadata": {"name": name}})
    assert made["status"]["phase"] == "Active"
    assert made["spec"]["finalizers"] == ["kubernetes"]
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": name}

    async def ready() -> bool:
        return not await gone(kube, SERVICE_ACCOUNT, "default", name)

    await eventually(ready)
    await kube.create(CONFIGMAP, config_map("a"), name)
    await kube.create(gadgets, gadget(gadgets, "held", finalizers=["example.com/hold"]), name)
    await kube.delete(NAMESPACE, name)
    assert (await kube.get(NAMESPACE, name))["status"]["phase"] == "Terminating"
    with pytest.raises(Forbidden) as caught:
        await kube.create(CONFIGMAP, config_map("b"), name)
    assert caught.value.message == (
        f'configmaps "b" is forbidden: unable to create new content in namespace {name} because it is being '
        "terminated"
    )
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await eventually(lambda: gone(kube, CONFIGMAP, "a", name))
    await kube.patch(gadgets, "held", {"metadata": {"finalizers": None}}, name)
    await eventually(lambda: gone(kube, NAMESPACE, name))


async def test_some_namespaces_stay(kube: KubeClient) -> None:
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await kube.delete(NAMESPACE, "kube-system")
