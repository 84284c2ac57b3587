"""What stands behind a Service."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.local.node.endpoints import Route, endpoint_slice, endpoints, routes
from dask_gpu_k8s.local.node.names import hostname, pod_lines, route_lines, service_lines
from tests.unit.local_node.builders import container, deleted, make_pod


def service(ports=None, name="svc", **spec):
    spec = {"clusterIP": "127.96.0.9", "selector": {"app": "x"}, **spec}
    spec["ports"] = ports if ports is not None else [{"name": "http", "port": 80, "targetPort": "web"}]
    return {"metadata": {"name": name, "namespace": "ns", "uid": "s1"}, "spec": spec}


def backend(name="p1", address="127.97.0.2", *, ready=True, number=8000, labels=None, namespace="ns"):
    pod = make_pod(container(ports=[{"name": "web", "containerPort": number}]))
    pod["metadata"] |= {"name": name, "uid": name, "namespace": namespace, "labels": labels or {"app": "x"}}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    pod["status"] = {"phase": "Running", "podIP": address, "conditions": [condition]}
    return pod


def targets(svc, *pods):
    return [route.targets for route in routes(svc, pods)]


def test_route_to_a_port_by_name():
    assert routes(service(), [backend()]) == [Route("127.96.0.9", 80, None, (("127.97.0.2", 8000),))]


@pytest.mark.parametrize(("target", "number"), [(9000, 9000), ("9000", 9000), (None, 80)])
def test_route_to_a_port_by_number(target, number):
    port = {"port": 80, **({"targetPort": target} if target else {})}
    assert targets(service([port]), backend()) == [(("127.97.0.2", number),)]


@pytest.mark.parametrize(
    "pod",
    [
        backend(ready=False),
        backend(labels={"app": "y"}),
        backend(namespace="other"),
        deleted(backend()),
        {**backend(), "status": {}},
        {**backend(), "status": {**backend()["status"], "phase": "Succeeded"}},
    ],
)
def test_who_is_no_target(pod):
    assert targets(service(), pod) == [()]


def test_not_ready_pods_where_the_service_publishes_them():
    assert targets(service(publishNotReadyAddresses=True), backend(ready=False)) == [(("127.97.0.2", 8000),)]


def test_headless_services_have_no_routes():
    assert routes(service(clusterIP="None"), [backend()]) == []


def test_udp_is_left_out():
    assert routes(service([{"port": 53, "protocol": "UDP"}]), [backend()]) == []


def test_node_port():
    assert routes(service([{"port": 80, "nodePort": 30001}]), [])[0].node_port == 30001


def test_endpoints_tell_ready_from_not_ready():
    made = endpoints(service(), [backend(), backend("p2", "127.97.0.3", ready=False)])
    assert made["metadata"]["name"] == "svc"
    (subset,) = made["subsets"]
    assert [each["ip"] for each in subset["addresses"]] == ["127.97.0.2"]
    assert [each["ip"] for each in subset["notReadyAddresses"]] == ["127.97.0.3"]
    assert subset["ports"] == [{"name": "http", "port": 8000, "protocol": "TCP"}]


def test_endpoints_group_by_port_numbers():
    made = endpoints(service(), [backend(), backend("p2", "127.97.0.3", number=9000)])
    assert [[port["port"] for port in subset["ports"]] for subset in made["subsets"]] == [[8000], [9000]]


def test_endpoint_slice_belongs_to_its_service():
    made = endpoint_slice(service(), [backend(), deleted(backend("p2", "127.97.0.3"))])
    assert made["metadata"]["labels"]["kubernetes.io/service-name"] == "svc"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "s1"
    assert [
        (each["conditions"]["ready"], each["conditions"]["terminating"]) for each in made["endpoints"]
    ] == [
        (True, False),
        (False, True),
    ]


def test_nobody_there():
    assert endpoints(service(), [])["subsets"] == []
    assert endpoint_slice(service(), [])["endpoints"] == []


def test_names_of_services():
    lines = list(service_lines([service(), service(name="none", clusterIP="None")], [backend()]))
    assert lines == ["127.96.0.9 svc.ns.svc.cluster.local", "127.97.0.2 none.ns.svc.cluster.local"]


def test_names_of_pods_of_a_headless_service():
    pod = backend()
    pod["spec"] |= {"hostname": "h0", "subdomain": "svc"}
    lines = list(service_lines([service(clusterIP="None")], [pod]))
    assert "127.97.0.2 h0.svc.ns.svc.cluster.local" in lines


def test_a_pods_own_names():
    pod = make_pod(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["db", "cache"]}])
    assert list(pod_lines(pod, "127.97.0.2")) == ["127.97.0.2 pod localhost", "10.0.0.1 db cache"]
    assert hostname(pod) == "pod"


def test_routes_as_lines():
    lines = route_lines([Route("127.96.0.9", 80, None, (("127.97.0.2", 8000), ("127.97.0.3", 8000)))])
    assert list(lines) == ["127.96.0.9 80 127.97.0.2:8000 127.97.0.3:8000"]
    assert list(route_lines([Route("127.96.0.9", 80, None, ())])) == ["127.96.0.9 80"]
