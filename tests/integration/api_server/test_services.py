"""Services: defaults, addresses, ports and what is refused."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api.resources import SERVICE
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Invalid
from tests.integration.api_server.conftest import causes
from tests.integration.api_server.gadgets import service


async def test_a_service_gets_an_address(kube: KubeClient, name: str) -> None:
    made = await kube.create(SERVICE, service(name, {"ports": [{"port": 80}], "selector": {"a": "b"}}))
    spec = made["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert spec["sessionAffinity"] == "None"
    assert made["status"] == {"loadBalancer": {}}
    other = await kube.create(SERVICE, service(f"{name}-2"))
    assert other["spec"]["clusterIP"] != spec["clusterIP"]


async def test_a_freed_address_can_be_asked_for(kube: KubeClient, name: str) -> None:
    address = (await kube.create(SERVICE, service(name)))["spec"]["clusterIP"]
    wanted = {"ports": [{"port": 80}], "clusterIP": address}
    with pytest.raises(Invalid, match="provided IP is already allocated"):
        await kube.create(SERVICE, service(f"{name}-2", wanted))
    await kube.delete(SERVICE, name)
    assert (await kube.create(SERVICE, service(f"{name}-2", wanted)))["spec"]["clusterIP"] == address


async def test_an_address_does_not_change(kube: KubeClient, name: str) -> None:
    await kube.create(SERVICE, service(name))
    with pytest.raises(Invalid, match="may not change once set"):
        await kube.patch(SERVICE, name, {"spec": {"clusterIP": "10.255.255.254"}})
    kept = await kube.patch(SERVICE, name, {"metadata": {"labels": {"a": "b"}}})
    assert kept["spec"]["clusterIP"]


async def test_a_headless_service_has_none(kube: KubeClient, name: str) -> None:
    spec = {"clusterIP": "None", "selector": {"a": "b"}, "ports": [{"port": 80}]}
    made = await kube.create(SERVICE, service(name, spec))
    assert made["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
async def test_node_ports(kube: KubeClient, name: str, kind: str) -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]
    made = await kube.create(SERVICE, service(name, {"type": kind, "ports": ports}))
    given = [port["nodePort"] for port in made["spec"]["ports"]]
    assert len(set(given)) == 2
    assert all(30000 <= port <= 32767 for port in given)
    kept = await kube.patch(SERVICE, name, {"metadata": {"labels": {"a": "b"}}})
    assert [port["nodePort"] for port in kept["spec"]["ports"]] == given
    inside = await kube.patch(SERVICE, name, {"spec": {"type": "ClusterIP"}})
    assert all("nodePort" not in port for port in inside["spec"]["ports"])


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({}, "spec.ports", "FieldValueRequired"),
        ({"type": "Other", "ports": [{"port": 80}]}, "spec.type", "FieldValueNotSupported"),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort",
            "FieldValueInvalid",
        ),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
            "spec.ports[1].name",
            "FieldValueDuplicate",
        ),
        ({"ports": [{"port": 70000, "targetPort": 1}]}, "spec.ports[0].port", "FieldValueInvalid"),
        ({"type": "ExternalName"}, "spec.externalName", "FieldValueRequired"),
    ],
)
async def test_bad_services(kube: KubeClient, name: str, spec: dict, field: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        await kube.create(SERVICE, service(name, spec))
    assert causes(caught.value) == {field: reason}


async def test_several_ports_need_names(kube: KubeClient, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        await kube.create(SERVICE, service(name, {"ports": [{"port": 80}, {"port": 81}]}))
    assert causes(caught.value) == {
        "spec.ports[0].name": "FieldValueRequired",
        "spec.ports[1].name": "FieldValueRequired",
    }
