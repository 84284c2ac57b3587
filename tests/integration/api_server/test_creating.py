"""Creating objects of built-in kinds: names, defaults, and what is refused with which reason."""

from __future__ import annotations

import re

import pytest

from dask_gpu_k8s.api.resources import CONFIGMAP, EVENT, LEASE, NAMESPACE, POD, SECRET, SERVICE
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, ApiError, BadRequest, Forbidden, Invalid, NotFound
from tests.integration.api_server.conftest import Ask, World, causes, path_of
from tests.integration.api_server.gadgets import config_map, pod, service


async def test_create_assigns_metadata(kube: KubeClient, name: str) -> None:
    made = await kube.create(CONFIGMAP, config_map(name, labels={"a": "b"}))
    meta = made["metadata"]
    assert meta["namespace"] == kube.namespace
    assert len(meta["uid"]) == 36
    assert int(meta["resourceVersion"]) > 0
    assert meta["creationTimestamp"].endswith("Z")
    assert meta["labels"] == {"a": "b"}
    assert (await kube.get(CONFIGMAP, name))["data"] == {"a": "1"}


async def test_the_same_name_again_already_exists(kube: KubeClient, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name))
    with pytest.raises(AlreadyExists) as caught:
        await kube.create(CONFIGMAP, config_map(name))
    assert caught.value.status == 409
    assert caught.value.message == f'configmaps "{name}" already exists'
    assert caught.value.details == {"name": name, "kind": "configmaps"}


async def test_a_generated_name_keeps_its_prefix(kube: KubeClient) -> None:
    obj = {**config_map("x"), "metadata": {"generateName": "some-"}}
    first, second = [(await kube.create(CONFIGMAP, obj))["metadata"]["name"] for _ in range(2)]
    assert first.startswith("some-")
    assert len(first) == 10
    assert first != second


@pytest.mark.parametrize(
    ("bad", "resource"),
    [
        ("Upper", CONFIGMAP),
        ("under_score", CONFIGMAP),
        ("-dash", CONFIGMAP),
        ("a..b", CONFIGMAP),
        ("a" * 254, CONFIGMAP),
        ("-dash", SERVICE),
        ("with.dot", SERVICE),
        ("s" * 64, SERVICE),
        ("with.dot", NAMESPACE),
    ],
)
async def test_bad_names_are_invalid(kube: KubeClient, bad: str, resource: object) -> None:
    obj = service(bad) if resource is SERVICE else {"metadata": {"name": bad}}
    with pytest.raises(Invalid) as caught:
        await kube.create(resource, obj)
    assert causes(caught.value) == {"metadata.name": "FieldValueInvalid"}
    assert caught.value.details["kind"] == resource.kind


async def test_no_name_is_invalid(kube: KubeClient) -> None:
    with pytest.raises(Invalid, match="name or generateName is required"):
        await kube.create(CONFIGMAP, {**config_map("x"), "metadata": {}})


async def test_a_missing_namespace_is_not_found(kube: KubeClient, name: str) -> None:
    with pytest.raises(NotFound) as caught:
        await kube.create(CONFIGMAP, config_map(name), "no-such-namespace")
    assert caught.value.message == 'namespaces "no-such-namespace" not found'


async def test_a_list_in_a_missing_namespace_is_empty(kube: KubeClient) -> None:
    assert (await kube.list(CONFIGMAP, "no-such-namespace"))["items"] == []


async def test_another_namespace_in_the_object_is_a_bad_request(kube: KubeClient, name: str) -> None:
    with pytest.raises(BadRequest, match="does not match the namespace sent on the request"):
        await kube.create(CONFIGMAP, config_map(name, namespace="other"), kube.namespace)


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        ({"labels": {"a": "not a value"}}, "metadata.labels"),
        ({"labels": {"not a key": "a"}}, "metadata.labels"),
        ({"annotations": {"not a key": "a"}}, "metadata.annotations"),
        ({"finalizers": ["unqualified"]}, "metadata.finalizers"),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a"}]},
            "metadata.ownerReferences.uid",
        ),
    ],
)
async def test_bad_metadata_is_invalid(kube: KubeClient, name: str, metadata: dict, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        await kube.create(POD, pod(name, **metadata), strict=False)
    # Whether the place in the list is named differs from release to release.
    assert {re.sub(r"\[0\]", "", named) for named in causes(caught.value)} == {field}, caught.value


async def test_a_pod_gets_its_defaults(kube: KubeClient, name: str) -> None:
    probe = {"httpGet": {"port": 80}}
    made = await kube.create(
        POD,
        pod(name, {"readinessProbe": probe, "ports": [{"containerPort": 80}], "image": "example/app"}),
    )
    spec, container = made["spec"], made["spec"]["containers"][0]
    assert made["status"]["phase"] == "Pending"
    assert made["status"]["qosClass"] == "BestEffort"
    # Pods have none in Kubernetes 1.31.
    assert made["metadata"].get("generation", 1) == 1
    assert (spec["restartPolicy"], spec["dnsPolicy"]) == ("Always", "ClusterFirst")
    assert (spec["terminationGracePeriodSeconds"], spec["enableServiceLinks"]) == (30, True)
    assert (spec["serviceAccountName"], spec["schedulerName"]) == ("default", "default-scheduler")
    assert container["imagePullPolicy"] == "Always"
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


async def test_limits_are_requests_too(kube: KubeClient, name: str) -> None:
    resources = {"limits": {"nvidia.com/gpu": "1", "cpu": "2"}, "requests": {"cpu": "1"}}
    made = await kube.create(POD, pod(name, {"resources": resources}))
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("container", "spec", "field", "reason"),
    [
        ({"image": ""}, {}, "spec.containers[0].image", "FieldValueRequired"),
        ({"name": "Not_A_Name"}, {}, "spec.containers[0].name", "FieldValueInvalid"),
        ({"imagePullPolicy": "Maybe"}, {}, "spec.containers[0].imagePullPolicy", "FieldValueNotSupported"),
        ({}, {"restartPolicy": "Sometimes"}, "spec.restartPolicy", "FieldValueNotSupported"),
        ({}, {"containers": []}, "spec.containers", "FieldValueRequired"),
        (
            {"ports": [{"containerPort": 70000}]},
            {},
            "spec.containers[0].ports[0].containerPort",
            "FieldValueInvalid",
        ),
        (
            {"volumeMounts": [{"name": "none", "mountPath": "/x"}]},
            {},
            "spec.containers[0].volumeMounts[0].name",
            "FieldValueNotFound",
        ),
        (
            {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}},
            {},
            "spec.containers[0].resources.requests",
            "FieldValueInvalid",
        ),
        (
            {"resources": {"requests": {"nvidia.com/gpu": "1"}}},
            {},
            "spec.containers[0].resources.limits",
            "FieldValueRequired",
        ),
        (
            {"resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "2"}}},
            {},
            "spec.containers[0].resources.requests",
            "FieldValueInvalid",
        ),
    ],
)
async def test_bad_pods_are_invalid(
    kube: KubeClient, name: str, container: dict, spec: dict, field: str, reason: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await kube.create(POD, pod(name, container, spec))
    assert causes(caught.value) == {field: reason}


async def test_two_containers_of_one_name_are_invalid(kube: KubeClient, name: str) -> None:
    twice = [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]
    with pytest.raises(Invalid) as caught:
        await kube.create(POD, pod(name, spec={"containers": twice}))
    assert causes(caught.value) == {"spec.containers[1].name": "FieldValueDuplicate"}


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"image": 5}, "cannot be handled as a Pod: json"),
        ({"env": {"A": "b"}}, "cannot be handled as a Pod: json"),
        ({"resources": {"limits": {"cpu": "much"}}}, "quantities must match the regular expression"),
    ],
)
async def test_unreadable_pods_are_bad_requests(
    kube: KubeClient, name: str, container: dict, words: str
) -> None:
    with pytest.raises(BadRequest, match=words):
        await kube.create(POD, pod(name, container))


async def test_an_unknown_service_account_is_forbidden(kube: KubeClient, name: str) -> None:
    with pytest.raises(Forbidden, match='serviceaccount "nobody" not found'):
        await kube.create(POD, pod(name, spec={"serviceAccountName": "nobody"}))


async def test_unknown_fields_are_refused_where_strict(kube: KubeClient, name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        await kube.create(POD, pod(name, {"imagee": "x"}, {"nodename": "y"}))
    expected = (
        'strict decoding error: unknown field "spec.containers[0].imagee", unknown field "spec.nodename"'
    )
    assert caught.value.message.endswith(expected)


async def test_unknown_fields_are_warned_of_otherwise(world: World, ask: Ask, name: str) -> None:
    path = path_of(world, POD) + "?dryRun=All"
    answer = await ask("POST", path, pod(name, spec={"nodename": "y"}))
    assert answer.warnings == ['299 - "unknown field \\"spec.nodename\\""']
    assert "nodename" not in answer.body["spec"]
    silent = await ask("POST", path + "&fieldValidation=Ignore", pod(name, spec={"nodename": "y"}))
    assert silent.warnings == []


async def test_a_dry_run_changes_nothing(world: World, kube: KubeClient, ask: Ask, name: str) -> None:
    answer = await ask("POST", path_of(world, CONFIGMAP) + "?dryRun=All", config_map(name))
    assert answer.status == 201
    assert answer.body["metadata"]["uid"]
    with pytest.raises(NotFound):
        await kube.get(CONFIGMAP, name)


@pytest.mark.parametrize("parameter", ["dryRun=Some", "fieldValidation=Some"])
async def test_unknown_options_are_invalid(world: World, ask: Ask, name: str, parameter: str) -> None:
    with pytest.raises(Invalid) as caught:
        await ask("POST", f"{path_of(world, CONFIGMAP)}?{parameter}", config_map(name))
    assert causes(caught.value) == {parameter.partition("=")[0]: "FieldValueNotSupported"}
    assert caught.value.details["kind"] == "CreateOptions"


async def test_secrets_take_plain_text(kube: KubeClient, name: str) -> None:
    made = await kube.create(SECRET, {"metadata": {"name": name}, "stringData": {"key": "value"}})
    assert made["type"] == "Opaque"
    assert made["data"] == {"key": "dmFsdWU="}
    assert "stringData" not in made


async def test_events_live_where_their_object_does(kube: KubeClient, name: str) -> None:
    about = {"kind": "Pod", "name": "x", "namespace": "elsewhere"}
    with pytest.raises(Invalid) as caught:
        await kube.create(EVENT, {"metadata": {"name": name}, "involvedObject": about})
    assert set(causes(caught.value)) == {"involvedObject.namespace"}


async def test_a_lease_lasts_longer_than_nothing(kube: KubeClient, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        await kube.create(LEASE, {"metadata": {"name": name}, "spec": {"leaseDurationSeconds": 0}})
    assert set(causes(caught.value)) == {"spec.leaseDurationSeconds"}


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{nope", 400), (b"[]", 400), (b"", 400)],
    ids=["not JSON", "a list", "empty"],
)
async def test_bodies_that_are_no_objects(world: World, ask: Ask, body: bytes, status: int) -> None:
    with pytest.raises(ApiError) as caught:
        await ask("POST", path_of(world, CONFIGMAP), body)
    assert caught.value.status == status


async def test_yaml_is_taken_too(world: World, ask: Ask, name: str) -> None:
    body = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n".encode()
    answer = await ask("POST", path_of(world, CONFIGMAP), body, Content_Type="application/yaml")
    assert answer.body["data"] == {"a": "b"}


async def test_other_media_types_are_not(world: World, ask: Ask) -> None:
    with pytest.raises(ApiError) as caught:
        await ask("POST", path_of(world, CONFIGMAP), b"<a/>", Content_Type="text/html")
    assert (caught.value.status, caught.value.reason) == (415, "UnsupportedMediaType")
