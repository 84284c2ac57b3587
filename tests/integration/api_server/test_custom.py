"""Custom kinds: schema, defaults, pruning, field validation, status, scale, generation, printing."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from dask_gpu_k8s.api.resources import CRD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import ApiError, BadRequest, Conflict, Invalid, NotFound
from tests.integration.api_server.conftest import Ask, World, causes, eventually, path_of
from tests.integration.api_server.gadgets import gadget, gadget_crd

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def test_defaults_and_nulls(kube: KubeClient, gadgets: Resource, name: str) -> None:
    spec = {"size": 1, "parts": [{"key": "k"}], "free": {"x": {"y": 1}}, "note": None, "plain": None}
    made = await kube.create(gadgets, gadget(gadgets, name, spec))
    assert made["spec"] == {
        "size": 1,
        "color": "red",
        "parts": [{"key": "k", "kind": "wheel"}],
        "free": {"x": {"y": 1}},
        "note": None,
    }
    assert made["metadata"]["generation"] == 1


async def test_status_is_not_taken_at_creation(kube: KubeClient, gadgets: Resource, name: str) -> None:
    made = await kube.create(gadgets, {**gadget(gadgets, name), "status": {"size": 3}})
    assert "status" not in made


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({}, "spec.size", "FieldValueRequired"),
        ({"size": 101}, "spec.size", "FieldValueInvalid"),
        ({"size": 1, "color": "green"}, "spec.color", "FieldValueNotSupported"),
        ({"size": 1, "code": "A1"}, "spec.code", "FieldValueInvalid"),
        ({"size": 1, "port": 1.5}, "spec.port", "FieldValueTypeInvalid"),
        ({"size": 1, "plain": 5}, "spec.plain", "FieldValueTypeInvalid"),
        ({"size": 1, "counts": {"a": "b"}}, "spec.counts.a", "FieldValueTypeInvalid"),
        ({"size": 1, "parts": [{}]}, "spec.parts[0].key", "FieldValueRequired"),
        ({"size": 1, "parts": [{"key": "a"}, {"key": "a"}]}, "spec.parts[1]", "FieldValueDuplicate"),
        ({"size": 1, "parts": {}}, "spec.parts", "FieldValueTypeInvalid"),
    ],
)
async def test_the_schema_is_kept(
    kube: KubeClient, gadgets: Resource, name: str, spec: Manifest, field: str, reason: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await kube.create(gadgets, gadget(gadgets, name, spec))
    assert causes(caught.value) == {field: reason}
    assert caught.value.message.startswith(f'Gadget.{gadgets.group} "{name}" is invalid: ')
    assert caught.value.details["name"] == name
    assert caught.value.details["group"] == gadgets.group


@pytest.mark.parametrize("port", [80, "http"])
async def test_int_or_string(kube: KubeClient, gadgets: Resource, name: str, port: object) -> None:
    made = await kube.create(gadgets, gadget(gadgets, name, {"size": 1, "port": port}))
    assert made["spec"]["port"] == port


def _misspelt(place: str) -> Callable[[Manifest], None]:
    def change(obj: Manifest) -> None:
        at = obj
        for step in place.split(".")[:-1]:
            at = at[int(step)] if isinstance(at, list) else at[step]
        at[place.split(".")[-1]] = 1

    return change


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ("sepc", "sepc"),
        ("metadata.lables", "metadata.lables"),
        ("spec.sizes", "spec.sizes"),
        ("spec.parts.0.keyy", "spec.parts[0].keyy"),
    ],
)
async def test_a_misspelt_field_at_any_depth(
    world: World, kube: KubeClient, gadgets: Resource, ask: Ask, name: str, place: str, field: str
) -> None:
    obj = gadget(gadgets, name, {"size": 1, "parts": [{"key": "a"}]})
    _misspelt(place)(obj)
    with pytest.raises(BadRequest) as caught:
        await kube.create(gadgets, obj)
    why = f'strict decoding error: unknown field "{field}"'
    assert caught.value.message == f'Gadget in version "v1" cannot be handled as a Gadget: {why}'
    warned = await ask("POST", path_of(world, gadgets) + "?dryRun=All", obj)
    assert warned.warnings == [f'299 - "unknown field \\"{field}\\""']
    assert warned.body["spec"]["parts"] == [{"key": "a", "kind": "wheel"}]
    silent = await ask("POST", path_of(world, gadgets) + "?dryRun=All&fieldValidation=Ignore", obj)
    assert silent.warnings == []


async def test_metadata_of_the_wrong_type(kube: KubeClient, gadgets: Resource, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be handled as a Gadget: json"):
        await kube.create(gadgets, gadget(gadgets, name, labels={"a": 1}))


async def test_another_kind_is_refused(kube: KubeClient, gadgets: Resource, name: str) -> None:
    with pytest.raises(Invalid, match='kind: Invalid value: "Other": must be Gadget'):
        await kube.create(gadgets, {**gadget(gadgets, name), "kind": "Other"})
    with pytest.raises(BadRequest, match="does not match the expected API version"):
        await kube.create(
            gadgets, {**gadget(gadgets, name), "apiVersion": f"{gadgets.group}/v9"}, strict=False
        )
    with pytest.raises(BadRequest, match="Object 'Kind' is missing"):
        await kube.create(gadgets, {"metadata": {"name": name}, "spec": {"size": 1}})


async def test_generation_counts_changes_of_the_spec_alone(
    kube: KubeClient, gadgets: Resource, name: str
) -> None:
    await kube.create(gadgets, gadget(gadgets, name))

    async def generation(patch: Manifest, sub: str | None = None) -> int:
        return (await kube.patch(gadgets, name, patch, sub=sub))["metadata"]["generation"]

    assert await generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert await generation({"spec": {"size": 2}}) == 2
    assert await generation({"spec": {"size": 2}}) == 2
    assert await generation({"status": {"size": 9}}) == 2
    assert await generation({"status": {"size": 9}}, "status") == 2
    assert await generation({"metadata": {"generation": 77}}) == 2


async def test_a_change_that_is_none_keeps_the_version(
    kube: KubeClient, gadgets: Resource, name: str
) -> None:
    made = await kube.create(gadgets, gadget(gadgets, name))
    same = await kube.patch(gadgets, name, {"spec": {"size": 1}})
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_status_and_the_rest_are_apart(kube: KubeClient, gadgets: Resource, name: str) -> None:
    await kube.create(gadgets, gadget(gadgets, name))
    seen = await kube.patch(gadgets, name, {"status": {"size": 2}, "spec": {"size": 50}}, sub="status")
    assert seen["status"] == {"size": 2}
    assert seen["spec"]["size"] == 1
    seen = await kube.patch(gadgets, name, {"status": {"size": 3}, "spec": {"size": 4}})
    assert seen["status"] == {"size": 2}
    assert seen["spec"]["size"] == 4
    with pytest.raises(Invalid) as caught:
        await kube.patch(gadgets, name, {"status": {"selector": 5}}, sub="status")
    assert causes(caught.value)["status.selector"] == "FieldValueTypeInvalid"


async def test_scale_is_a_view(
    world: World, kube: KubeClient, gadgets: Resource, ask: Ask, name: str
) -> None:
    made = await kube.create(gadgets, gadget(gadgets, name))
    await kube.patch(gadgets, name, {"status": {"size": 2, "selector": "a=b"}}, sub="status")
    scale = (await ask("GET", path_of(world, gadgets, name, "scale"))).body
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 1}
    assert scale["status"] == {"replicas": 2, "selector": "a=b"}
    assert scale["metadata"]["uid"] == made["metadata"]["uid"]
    scaled = await kube.patch(gadgets, name, {"spec": {"replicas": 7}}, sub="scale")
    assert scaled["spec"] == {"replicas": 7}
    seen = await kube.get(gadgets, name)
    assert seen["spec"]["size"] == 7
    assert seen["metadata"]["generation"] == 2
    with pytest.raises(Invalid):
        await kube.patch(gadgets, name, {"spec": {"replicas": 101}}, sub="scale")
    put = await ask("PUT", path_of(world, gadgets, name, "scale"), {**scale, "metadata": {"name": name}})
    assert put.body["spec"] == {"replicas": 1}
    stale = {**scale, "metadata": {"name": name, "resourceVersion": "1"}}
    with pytest.raises(Conflict):
        await ask("PUT", path_of(world, gadgets, name, "scale"), stale)


async def test_the_table_is_the_crds(
    world: World, kube: KubeClient, gadgets: Resource, ask: Ask, name: str
) -> None:
    await kube.create(gadgets, gadget(gadgets, name, {"size": 5, "parts": [{"key": "k"}]}))
    answer = await ask("GET", path_of(world, gadgets, name), Accept=TABLE)
    assert answer.body["kind"] == "Table"
    columns = [(c["name"], c["type"], c["priority"]) for c in answer.body["columnDefinitions"]]
    assert columns == [
        ("Name", "string", 0),
        ("Size", "integer", 0),
        ("First", "string", 0),
        ("Color", "string", 1),
        ("Age", "date", 0),
    ]
    (row,) = answer.body["rows"]
    assert row["cells"][:4] == [name, 5, "k", "red"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    listed = await ask("GET", path_of(world, gadgets) + "?includeObject=Object", Accept=TABLE)
    assert {"Gadget"} == {row["object"]["kind"] for row in listed.body["rows"]}


async def test_the_kind_is_discovered(gadgets: Resource, ask: Ask) -> None:
    group = (await ask("GET", f"/apis/{gadgets.group}")).body
    assert group["preferredVersion"]["groupVersion"] == f"{gadgets.group}/v1"
    found = (await ask("GET", f"/apis/{gadgets.group}/v1")).body["resources"]
    assert [entry["name"] for entry in found] == ["gadgets", "gadgets/status", "gadgets/scale"]
    assert found[0]["shortNames"] == ["gd"]
    assert found[2]["group"] == "autoscaling"
    aggregated = await ask(
        "GET", "/apis", Accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
    assert aggregated.body["kind"] == "APIGroupDiscoveryList"
    assert gadgets.group in {item["metadata"]["name"] for item in aggregated.body["items"]}


async def test_openapi_describes_the_kind(gadgets: Resource, ask: Ask) -> None:
    async def described() -> str | None:
        paths = (await ask("GET", "/openapi/v3")).body["paths"]
        entry = paths.get(f"apis/{gadgets.group}/v1")
        return entry and entry["serverRelativeURL"]

    document = (await ask("GET", await eventually(described))).body
    path = f"/apis/{gadgets.group}/v1/namespaces/{{namespace}}/gadgets/{{name}}"
    patch = document["paths"][path]["patch"]
    assert "fieldValidation" in [parameter.get("name") for parameter in patch["parameters"]]
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Gadget"
    (schema,) = [
        schema
        for schema in document["components"]["schemas"].values()
        if schema.get("x-kubernetes-group-version-kind")
        == [{"group": gadgets.group, "version": "v1", "kind": "Gadget"}]
    ]
    assert schema["properties"]["spec"]["properties"]["size"]["maximum"] == 100


CRD_FAULTS = {
    "no storage version": (lambda v: v.update(storage=False), "spec.versions"),
    "no schema": (lambda v: v.pop("schema"), "spec.versions[0].schema.openAPIV3Schema"),
}


@pytest.mark.parametrize("fault", CRD_FAULTS)
async def test_bad_crds(kube: KubeClient, fault: str) -> None:
    change, field = CRD_FAULTS[fault]
    crd = copy.deepcopy(gadget_crd("bad.example.com"))
    change(crd["spec"]["versions"][0])
    with pytest.raises(Invalid) as caught:
        await kube.create(CRD, crd)
    assert field in causes(caught.value)


async def test_a_crd_is_named_by_its_kind(kube: KubeClient) -> None:
    crd = {**gadget_crd("bad.example.com"), "metadata": {"name": "other.example.com"}}
    with pytest.raises(Invalid, match=r'must be spec.names.plural\+"."\+spec.group'):
        await kube.create(CRD, crd)


async def test_a_deleted_crd_takes_its_objects_along(world: World, kube: KubeClient, name: str) -> None:
    group = f"{name}.example.com"
    resource = Resource(group, "v1", "gadgets", "Gadget", "gadget")
    await kube.create(CRD, gadget_crd(group))

    async def made() -> bool:
        try:
            await kube.create(resource, gadget(resource, "one"))
        except (NotFound, ApiError):
            return False
        return True

    await eventually(made)
    await kube.delete(CRD, f"gadgets.{group}")

    async def withdrawn() -> bool:
        try:
            await kube.get(CRD, f"gadgets.{group}")
        except NotFound:
            return True
        return False

    await eventually(withdrawn)
    with pytest.raises(NotFound):
        await kube.get(resource, "one")
