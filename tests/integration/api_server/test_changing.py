"""Updates and patches: conflicts, what may not change, the kinds of patch."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api.resources import CONFIGMAP, LEASE, POD, SECRET, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import ApiError, BadRequest, Conflict, Invalid, NotFound
from tests.integration.api_server.conftest import Ask, World, causes, path_of
from tests.integration.api_server.gadgets import config_map, gadget, pod


async def test_a_stale_version_is_a_conflict(kube: KubeClient, name: str) -> None:
    made = await kube.create(CONFIGMAP, config_map(name))
    await kube.patch(CONFIGMAP, name, {"data": {"a": "2"}})
    with pytest.raises(Conflict) as caught:
        await kube.replace(CONFIGMAP, {**made, "data": {"a": "3"}})
    assert caught.value.message == (
        f'Operation cannot be fulfilled on configmaps "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    version = made["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await kube.patch(CONFIGMAP, name, {"metadata": {"resourceVersion": version}, "data": {"a": "3"}})


async def test_custom_kinds_and_leases_are_updated_with_a_version(
    world: World, kube: KubeClient, gadgets: Resource, ask: Ask, name: str
) -> None:
    await kube.create(gadgets, gadget(gadgets, name))
    with pytest.raises(Invalid, match=r"metadata.resourceVersion: Invalid value: 0(x0)?: must be specified"):
        await ask("PUT", path_of(world, gadgets, name), gadget(gadgets, name))
    lease: Manifest = {"metadata": {"name": name}, "spec": {"holderIdentity": "a"}}
    await kube.create(LEASE, lease)
    with pytest.raises(Invalid, match="must be specified for an update"):
        await ask("PUT", path_of(world, LEASE, name), lease)


async def test_other_kinds_without(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    answer = await ask("PUT", path_of(world, CONFIGMAP, name), config_map(name, {"a": "9"}))
    assert answer.body["data"] == {"a": "9"}


async def test_another_uid_is_a_conflict(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: other"):
        await ask("PUT", path_of(world, CONFIGMAP, name), config_map(name, uid="other"))
    with pytest.raises(Invalid, match=r"metadata\.uid: Invalid value: .*: field is immutable"):
        await kube.patch(CONFIGMAP, name, {"metadata": {"uid": "other"}})


async def test_another_name_is_a_bad_request(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    with pytest.raises(BadRequest, match="does not match the name on the URL"):
        await ask("PUT", path_of(world, CONFIGMAP, name), config_map("other"))
    with pytest.raises(BadRequest, match="does not match the name on the URL"):
        await kube.patch(CONFIGMAP, name, {"metadata": {"name": "other"}})


async def test_what_is_not_there_is_not_changed(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    with pytest.raises(NotFound) as caught:
        await kube.patch(CONFIGMAP, name, {"data": {"a": "b"}})
    assert caught.value.message == f'configmaps "{name}" not found'
    assert caught.value.details == {"name": name, "kind": "configmaps"}
    with pytest.raises(NotFound):
        await ask("PUT", path_of(world, POD, name), pod(name))
    created = await ask("PUT", path_of(world, LEASE, name), {"metadata": {"name": name}})
    assert created.status == 201


async def test_the_rest_of_a_pod_does_not_change(kube: KubeClient, name: str) -> None:
    await kube.create(POD, pod(name))
    changed = await kube.patch(
        POD, name, {"spec": {"containers": [{"name": "main", "image": "example/app:2"}]}}, kind="strategic"
    )
    assert changed["spec"]["containers"][0]["image"] == "example/app:2"
    # Pods have none in Kubernetes 1.31.
    assert changed["metadata"].get("generation", 2) == 2
    with pytest.raises(Invalid, match="pod updates may not change fields other than") as caught:
        await kube.patch(POD, name, {"spec": {"restartPolicy": "Never"}})
    assert causes(caught.value)["spec"] == "FieldValueForbidden"


async def test_immutable_data(kube: KubeClient, name: str) -> None:
    await kube.create(CONFIGMAP, {**config_map(name), "immutable": True})
    with pytest.raises(Invalid, match="field is immutable when `immutable` is set"):
        await kube.patch(CONFIGMAP, name, {"data": {"a": "2"}})
    await kube.create(SECRET, {"metadata": {"name": name}, "stringData": {"a": "b"}})
    with pytest.raises(Invalid) as caught:
        await kube.patch(SECRET, name, {"type": "other"})
    assert causes(caught.value) == {"type": "FieldValueInvalid"}


async def test_merge_patch(kube: KubeClient, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name, {"a": "1", "b": "2"}, labels={"x": "y"}))
    seen = await kube.patch(CONFIGMAP, name, {"data": {"a": None, "c": "3"}, "metadata": {"labels": None}})
    assert seen["data"] == {"b": "2", "c": "3"}
    assert "labels" not in seen["metadata"]


async def test_strategic_patch_merges_lists_by_key(kube: KubeClient, name: str) -> None:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid} for uid in ("1", "2")]
    await kube.create(
        POD, pod(name, spec={"tolerations": [{"key": "a", "operator": "Exists"}]}, finalizers=["e.com/a"])
    )
    seen = await kube.patch(
        POD,
        name,
        {"metadata": {"finalizers": ["e.com/b"], "ownerReferences": references[:1]}},
        kind="strategic",
    )
    assert sorted(seen["metadata"]["finalizers"]) == ["e.com/a", "e.com/b"]
    removal = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["e.com/a", "e.com/b"]}}
    seen = await kube.patch(POD, name, removal, kind="strategic")
    assert "finalizers" not in seen["metadata"]


async def test_custom_kinds_have_no_strategic_patch(kube: KubeClient, gadgets: Resource, name: str) -> None:
    await kube.create(gadgets, gadget(gadgets, name))
    with pytest.raises(ApiError) as caught:
        await kube.patch(gadgets, name, {}, kind="strategic")
    assert (caught.value.status, caught.value.reason) == (415, "UnsupportedMediaType")


async def test_json_patch(kube: KubeClient, gadgets: Resource, name: str) -> None:
    await kube.create(gadgets, gadget(gadgets, name, {"size": 1, "parts": [{"key": "a"}]}))
    patch = [
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "add", "path": "/spec/parts/-", "value": {"key": "b"}},
        {"op": "add", "path": "/spec/parts/0", "value": {"key": "c"}},
        {"op": "replace", "path": "/spec/size", "value": 4},
        {"op": "copy", "from": "/spec/color", "path": "/spec/plain"},
        {"op": "add", "path": "/metadata/labels", "value": {"x~y": "z"}},
        {"op": "move", "from": "/metadata/labels/x~0y", "path": "/metadata/labels/m"},
    ]
    seen = await kube.patch(gadgets, name, patch, kind="json")
    assert [part["key"] for part in seen["spec"]["parts"]] == ["c", "a", "b"]
    assert (seen["spec"]["size"], seen["spec"]["plain"]) == (4, "red")
    assert seen["metadata"]["labels"] == {"m": "z"}


@pytest.mark.parametrize(
    "step",
    [
        {"op": "test", "path": "/spec/size", "value": 9},
        {"op": "remove", "path": "/spec/code"},
        {"op": "add", "path": "/spec/parts/9", "value": {"key": "x"}},
        {"op": "leap", "path": "/spec/size"},
    ],
    ids=["failed test", "nothing to remove", "out of range", "no operation"],
)
async def test_a_json_patch_that_does_not_fit(
    kube: KubeClient, gadgets: Resource, name: str, step: Manifest
) -> None:
    await kube.create(gadgets, gadget(gadgets, name, {"size": 1, "parts": []}))
    with pytest.raises(Invalid, match="the server rejected our request due to an error in our request"):
        await kube.patch(gadgets, name, [step], kind="json")


@pytest.mark.parametrize(("kind", "body"), [("merge", []), ("json", {}), ("strategic", [])])
async def test_patches_of_the_wrong_shape(kube: KubeClient, name: str, kind: str, body: object) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    with pytest.raises(BadRequest):
        await kube.patch(CONFIGMAP, name, body, kind=kind)


async def test_a_strict_patch_knows_its_fields(kube: KubeClient, gadgets: Resource, name: str) -> None:
    await kube.create(gadgets, gadget(gadgets, name))
    with pytest.raises(Invalid, match=r'strict decoding error: unknown field "spec\.sizes"'):
        await kube.patch(gadgets, name, {"spec": {"sizes": 3}})
    seen = await kube.patch(gadgets, name, {"spec": {"sizes": 3}}, strict=False)
    assert seen["spec"] == {"size": 1, "color": "red"}
