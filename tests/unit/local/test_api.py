"""The API machinery in memory: what the contract tests do not reach over HTTP."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dask_gpu_k8s.api.resources import CONFIGMAP, CRD, EVENT, NAMESPACE, POD, SERVICE, Resource
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.machinery.controllers import Controllers
from dask_gpu_k8s.local.machinery.options import WriteOptions
from dask_gpu_k8s.local.machinery.pod_rules import qos_class
from dask_gpu_k8s.local.machinery.simple_rules import due_events

V1 = Resource("example.com", "v1", "gadgets", "Gadget", "gadget")
V2 = Resource("example.com", "v2", "gadgets", "Gadget", "gadget")


def crd(*versions: str, schema: dict | None = None) -> dict:
    schema = schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == versions[0],
                    "schema": {"openAPIV3Schema": schema},
                }
                for version in versions
            ],
        },
    }


def gadget(resource: Resource, name: str = "g", **more: Any) -> dict:
    return {"apiVersion": resource.api_version, "kind": "Gadget", "metadata": {"name": name}, **more}


def pod(name: str = "p", **spec: Any) -> dict:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}], **spec}}


def test_no_argument_is_changed_and_nothing_is_shared() -> None:
    api = Api()
    sent = {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "v"}}
    before = copy.deepcopy(sent)
    made = api.create(CONFIGMAP, "default", sent)
    assert sent == before
    sent["data"]["k"] = "changed"
    assert api.get(CONFIGMAP, "default", "a")["data"] == {"k": "v"}
    patch = {"data": {"n": "1"}}
    api.patch(CONFIGMAP, "default", "a", patch)
    patch["data"]["n"] = "changed"
    assert api.get(CONFIGMAP, "default", "a")["data"] == {"k": "v", "n": "1"}
    assert made["data"] == {"k": "v"}


def test_versions_of_a_kind_are_views_of_one_object() -> None:
    api = Api()
    api.create(CRD, None, crd("v1", "v2"))
    api.create(V2, "default", gadget(V2, spec={"a": 1}))
    assert api.get(V1, "default", "g")["apiVersion"] == "example.com/v1"
    assert api.get(V2, "default", "g")["apiVersion"] == "example.com/v2"
    assert api.patch(V2, "default", "g", {"spec": {"a": 2}})["apiVersion"] == "example.com/v2"
    assert api.list(V1)[0]["spec"] == {"a": 2}
    only_v1 = api.get(CRD, None, "gadgets.example.com")
    only_v1 = {**only_v1, "spec": {**only_v1["spec"], "versions": only_v1["spec"]["versions"][:1]}}
    api.update(CRD, None, "gadgets.example.com", only_v1)
    with pytest.raises(StatusError) as caught:
        api.get(V2, "default", "g")
    assert caught.value.code == 404


def test_rules_that_are_not_evaluated_are_warned_of() -> None:
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 1"}]}
    heard: list[str] = []
    Api().create(CRD, None, crd("v1", schema=schema), WriteOptions(warn=heard.append))
    assert heard == ["x-kubernetes-validations (CEL rules) are stored but not evaluated by this server"]


def test_webhooks_are_refused() -> None:
    wanted = crd("v1")
    wanted["spec"]["conversion"] = {"strategy": "Webhook"}
    with pytest.raises(StatusError, match="no webhooks are called"):
        Api().create(CRD, None, wanted)


def test_subresources_that_a_kind_does_not_have() -> None:
    api = Api()
    api.create(CRD, None, crd("v1"))
    api.create(V1, "default", gadget(V1))
    for sub in ("status", "scale", "nonsense"):
        with pytest.raises(StatusError) as caught:
            api.patch(V1, "default", "g", {}, sub=sub)
        assert caught.value.code == 405


def test_without_a_status_subresource_all_counts() -> None:
    api = Api()
    api.create(CRD, None, crd("v1"))
    made = api.create(V1, "default", gadget(V1, status={"a": 1}))
    assert made["status"] == {"a": 1}
    assert api.patch(V1, "default", "g", {"status": {"a": 2}})["metadata"]["generation"] == 2


def test_pods_end_by_their_node() -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    api = Api(now=lambda: now)
    api.create(POD, "default", pod(nodeName="n", terminationGracePeriodSeconds=7))
    marked = api.delete(POD, "default", "p")["metadata"]
    assert marked["deletionTimestamp"] == "2026-01-01T00:00:07Z"
    assert marked["deletionGracePeriodSeconds"] == 7
    assert api.list(POD)
    api.delete(POD, "default", "p", grace_seconds=0)
    assert api.list(POD) == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_pods_that_have_ended_go_at_once(phase: str) -> None:
    api = Api()
    api.create(POD, "default", pod(nodeName="n"))
    api.patch(POD, "default", "p", {"status": {"phase": phase}}, sub="status")
    api.delete(POD, "default", "p")
    assert api.list(POD) == []


def test_a_finalizer_outlasts_the_node() -> None:
    api = Api()
    api.create(POD, "default", {**pod(nodeName="n"), "metadata": {"name": "p", "finalizers": ["e.com/x"]}})
    api.delete(POD, "default", "p", grace_seconds=3)
    api.patch(POD, "default", "p", {"metadata": {"finalizers": None}})
    assert api.list(POD), "the node has not said that its containers ended"
    api.delete(POD, "default", "p", grace_seconds=0)
    assert api.list(POD) == []


@pytest.mark.parametrize(
    ("resources", "word"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"nvidia.com/gpu": "1"}}, "BestEffort"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        (
            {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
            "Burstable",
        ),
    ],
)
def test_quality_of_service(resources: dict, word: str) -> None:
    assert qos_class({"containers": [{"resources": resources}]}) == word


def test_service_addresses_come_from_their_network() -> None:
    api = Api()
    made = api.create(SERVICE, "default", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}})
    assert made["spec"]["clusterIP"].startswith("127.96.")
    outside = {"metadata": {"name": "t"}, "spec": {"ports": [{"port": 1}], "clusterIP": "10.0.0.1"}}
    with pytest.raises(StatusError, match=r"The range of valid IPs is 127\.96\.0\.0/16"):
        api.create(SERVICE, "default", outside)


def test_old_events_are_due() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    api = Api(now=lambda: now)
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    for name, last in (("old", None), ("seen again", "2026-01-01T12:30:00Z")):
        event = {"metadata": {"name": name.replace(" ", "-")}, "involvedObject": about}
        api.create(EVENT, "default", {**event, **({"lastTimestamp": last} if last else {})})
    due = due_events(api.list(EVENT), now + timedelta(minutes=70))
    assert [event["metadata"]["name"] for event in due] == ["old"]


def test_the_controllers_work_step_by_step() -> None:
    api = Api()
    controllers = Controllers(api)
    api.create(NAMESPACE, None, {"metadata": {"name": "ns"}})
    owner = api.create(CONFIGMAP, "ns", {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    api.create(CONFIGMAP, "ns", {"metadata": {"name": "child", "ownerReferences": [reference]}})
    while controllers.step():
        pass
    assert len(api.list(CONFIGMAP, "ns")) == 2
    api.delete(CONFIGMAP, "ns", "owner")
    while controllers.step():
        pass
    assert api.list(CONFIGMAP, "ns") == []
    api.delete(NAMESPACE, None, "ns")
    while controllers.step():
        pass
    with pytest.raises(StatusError):
        api.get(NAMESPACE, None, "ns")


async def test_a_subscription_sees_what_happens_after_it() -> None:
    api = Api()
    api.create(CONFIGMAP, "default", {"metadata": {"name": "before"}})
    subscription = api.subscribe(CONFIGMAP)
    api.create(CONFIGMAP, "default", {"metadata": {"name": "after"}})
    api.delete(CONFIGMAP, "default", "before")
    seen = [await anext(subscription) for _ in range(2)]
    assert [(change["type"], change["object"]["metadata"]["name"]) for change in seen] == [
        ("ADDED", "after"),
        ("DELETED", "before"),
    ]
    subscription.close()
    assert [change async for change in subscription] == []
