"""Lists: selectors, pages, forms of the answer; and paths that lead nowhere."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api.resources import CONFIGMAP, EVENT, NODE, POD, SECRET, SERVICE, Resource
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import ApiError, BadRequest, Invalid, NotFound, ServerError
from tests.integration.api_server.conftest import Ask, World, causes, path_of
from tests.integration.api_server.gadgets import config_map, gadget, pod, service

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def names(answer: dict) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app={n}", "abc"),
        ("app={n},tier=x", "a"),
        ("app={n},tier!=x", "bc"),
        ("app={n},tier in (x,y)", "ab"),
        ("app={n},tier notin (x)", "bc"),
        ("app={n},tier", "ab"),
        ("app={n},!tier", "c"),
        ("app=={n},tier = y", "b"),
        ("app={n},size>5", "a"),
        ("app={n},size<5", "b"),
    ],
)
async def test_label_selectors(kube: KubeClient, name: str, selector: str, found: str) -> None:
    for letter, labels in {
        "a": {"tier": "x", "size": "10"},
        "b": {"tier": "y", "size": "1"},
        "c": {},
    }.items():
        await kube.create(CONFIGMAP, config_map(f"{name}-{letter}", labels={"app": name, **labels}))
    listed = await kube.list(CONFIGMAP, labels=selector.format(n=name))
    assert names(listed) == [f"{name}-{letter}" for letter in found]


async def test_field_selectors(kube: KubeClient, name: str) -> None:
    await kube.create(POD, pod(name))
    await kube.create(POD, pod(f"{name}-2"))
    assert names(await kube.list(POD, fields=f"metadata.name={name}")) == [name]
    assert name not in names(await kube.list(POD, fields=f"metadata.name!={name}"))
    assert name in names(await kube.list(POD, fields="spec.nodeName=,status.phase=Pending"))
    assert name not in names(await kube.list(POD, fields="status.phase=Running"))
    await kube.create(SECRET, {"metadata": {"name": name}, "type": "e.com/kind"})
    assert names(await kube.list(SECRET, fields="type=e.com/kind")) == [name]


async def test_events_are_selected_by_what_they_are_about(kube: KubeClient, name: str) -> None:
    for kind in ("Pod", "Node"):
        about = {"kind": kind, "name": name, "namespace": kube.namespace, "uid": f"{kind}-{name}"}
        event = {"metadata": {"name": f"{name}-{kind.lower()}"}, "involvedObject": about, "reason": kind}
        await kube.create(EVENT, {**event, "type": "Normal", "message": "m"})
    chosen = await kube.list(EVENT, fields=f"involvedObject.kind=Pod,involvedObject.name={name}")
    assert names(chosen) == [f"{name}-pod"]
    chosen = await kube.list(EVENT, fields=f"involvedObject.uid=Node-{name},reason=Node,type=Normal")
    assert names(chosen) == [f"{name}-node"]


@pytest.mark.parametrize(
    "query",
    [
        "labelSelector=a%20b%20c",
        "fieldSelector=spec.nonsense%3D1",
        "fieldSelector=nonsense",
        "limit=many",
        "continue=nonsense",
    ],
)
async def test_queries_that_make_no_sense(world: World, ask: Ask, query: str) -> None:
    with pytest.raises(BadRequest):
        await ask("GET", f"{path_of(world, POD)}?{query}")


async def test_a_version_that_is_no_number(world: World, ask: Ask) -> None:
    # Kubernetes 1.31 takes it for an error of its own.
    with pytest.raises((BadRequest, ServerError), match='Invalid value: "new"'):
        await ask("GET", f"{path_of(world, POD)}?resourceVersion=new")


async def test_a_custom_kind_is_selected_by_name_only(
    world: World, kube: KubeClient, gadgets: Resource, ask: Ask, name: str
) -> None:
    await kube.create(gadgets, gadget(gadgets, name))
    assert names(await kube.list(gadgets, fields=f"metadata.name={name}")) == [name]
    with pytest.raises(BadRequest, match=r"field label not supported: spec.size"):
        await kube.list(gadgets, fields="spec.size=1")


async def test_pages_show_one_moment(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    for index in range(5):
        await kube.create(CONFIGMAP, config_map(f"{name}-{index}", labels={"app": name}))
    path = f"{path_of(world, CONFIGMAP)}?labelSelector=app%3D{name}&limit=2"
    first = (await ask("GET", path)).body
    assert names(first) == [f"{name}-0", f"{name}-1"]
    await kube.delete(CONFIGMAP, f"{name}-2")
    await kube.create(CONFIGMAP, config_map(f"{name}-9", labels={"app": name}))
    second = (await ask("GET", f"{path}&continue={first['metadata']['continue']}")).body
    assert names(second) == [f"{name}-2", f"{name}-3"]
    third = (await ask("GET", f"{path}&continue={second['metadata']['continue']}")).body
    assert names(third) == [f"{name}-4"]
    assert not third["metadata"].get("continue")
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1


async def test_how_many_follow(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    for index in range(3):
        await kube.create(CONFIGMAP, config_map(f"{name}-{index}"))
    page = (await ask("GET", path_of(world, CONFIGMAP) + "?limit=1")).body
    whole = await kube.list(CONFIGMAP)
    assert page["metadata"]["remainingItemCount"] == len(whole["items"]) - 1


async def test_only_metadata(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    answer = await ask("GET", path_of(world, CONFIGMAP), Accept=accept)
    assert answer.body["kind"] == "PartialObjectMetadataList"
    assert set(answer.body["items"][0]) <= {"kind", "apiVersion", "metadata"}


BUILT_IN_COLUMNS = {
    POD: "Name Ready Status Restarts Age IP Node Nominated-Node Readiness-Gates",
    SERVICE: "Name Type Cluster-IP External-IP Port(s) Age Selector",
    CONFIGMAP: "Name Data Age",
    SECRET: "Name Type Data Age",
    NODE: "Name Status Roles Age Version Internal-IP External-IP OS-Image Kernel-Version Container-Runtime",
    EVENT: "Last-Seen Type Reason Object Subobject Source Message First-Seen Count Name",
}


@pytest.mark.parametrize("resource", BUILT_IN_COLUMNS, ids=lambda resource: resource.plural)
async def test_tables_of_built_in_kinds(world: World, ask: Ask, resource: Resource) -> None:
    answer = await ask("GET", path_of(world, resource), Accept=TABLE)
    columns = [column["name"].replace(" ", "-") for column in answer.body["columnDefinitions"]]
    assert columns == BUILT_IN_COLUMNS[resource].split()


async def test_rows_of_built_in_kinds(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    await kube.create(POD, pod(name))
    (row,) = (await ask("GET", path_of(world, POD, name), Accept=TABLE)).body["rows"]
    assert row["cells"][:3] == [name, "0/1", "Pending"]
    assert str(row["cells"][3]) == "0"
    assert row["cells"][5:] == ["<none>"] * 4
    await kube.create(
        SERVICE, service(name, {"type": "NodePort", "ports": [{"port": 80, "nodePort": 31999}]})
    )
    (row,) = (await ask("GET", path_of(world, SERVICE, name), Accept=TABLE)).body["rows"]
    assert row["cells"][1] == "NodePort"
    assert row["cells"][3:5] == ["<none>", "80:31999/TCP"]
    assert row["cells"][6] == "<none>"
    await kube.delete(SERVICE, name)


async def test_only_json_is_answered(world: World, ask: Ask) -> None:
    with pytest.raises(ApiError) as caught:
        await ask("GET", path_of(world, CONFIGMAP), Accept="text/html")
    assert (caught.value.status, caught.value.reason) == (406, "NotAcceptable")


@pytest.mark.parametrize(
    "path",
    [
        "/apis/apps/v9/deployments",
        "/api/v1/namespaces/default/things",
        "/api/v1/namespaces/default/nodes",
        "/api/v1/pods/some-name",
    ],
)
async def test_what_is_not_served_is_not_found(ask: Ask, path: str) -> None:
    with pytest.raises(NotFound) as caught:
        await ask("GET", path)
    assert caught.value.message == "the server could not find the requested resource"


async def test_a_missing_object_is_named(kube: KubeClient, gadgets: Resource, name: str) -> None:
    with pytest.raises(NotFound) as caught:
        await kube.get(gadgets, name)
    assert caught.value.message == f'gadgets.{gadgets.group} "{name}" not found'
    assert caught.value.details == {"name": name, "group": gadgets.group, "kind": "gadgets"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/pods"),
        ("PUT", "/api/v1/namespaces/default/pods"),
        ("POST", "/api/v1/namespaces/default/pods/some-name"),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ],
)
async def test_verbs_that_a_path_does_not_have(ask: Ask, method: str, path: str) -> None:
    with pytest.raises(ApiError) as caught:
        await ask(method, path, None if method == "GET" else pod("x"))
    assert (caught.value.status, caught.value.reason) == (405, "MethodNotAllowed")


async def test_one_may_ask_what_one_may_do(ask: Ask) -> None:
    review = {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}}
    answer = await ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert answer.body["status"]["allowed"] is True


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health(ask: Ask, path: str) -> None:
    assert (await ask("GET", path)).body == "ok"


async def test_version(ask: Ask) -> None:
    version = (await ask("GET", "/version")).body
    assert version["gitVersion"].startswith(f"v{version['major']}.{version['minor']}")


async def test_versions_and_matches_that_contradict(world: World, ask: Ask) -> None:
    with pytest.raises(Invalid) as caught:
        await ask("GET", path_of(world, POD) + "?resourceVersionMatch=Exact")
    assert causes(caught.value) == {"resourceVersionMatch": "FieldValueForbidden"}
    with pytest.raises(Invalid) as caught:
        await ask("GET", path_of(world, POD) + "?watch=1&sendInitialEvents=true&timeoutSeconds=1")
    # Kubernetes 1.31 forbids sendInitialEvents besides.
    assert causes(caught.value)["resourceVersionMatch"] == "FieldValueForbidden"
