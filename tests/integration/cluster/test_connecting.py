"""Ways to a scheduler, each opened and used, and what is said where there is none."""

from __future__ import annotations

import json
import logging
import time
import urllib.request

import pytest
from distributed import Client

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.api.resources import DASKCLUSTER, NODE, POD
from dask_gpu_k8s.cluster.surroundings import find_way
from dask_gpu_k8s.cluster.ways import Wish, parse_connect_mode
from dask_gpu_k8s.errors import InvalidArgument, NotAllowed, StartFailed
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden


def works(cluster) -> bool:
    """Say whether both the scheduler and its dashboard are reached."""
    health = cluster.dashboard_link.replace("/status", "/health")
    with Client(cluster) as client, urllib.request.urlopen(health, timeout=10) as answer:
        return client.submit(sum, [1, 2, 3]).result(timeout=30) == 6 and answer.status == 200


def read(kubernetes, *args):
    return json.loads(kubernetes.kubectl("get", *args, "-o", "json"))


def service(kubernetes):
    """Read the scheduler's Service: its ports by name, each with its node port, and its addresses."""
    found = read(kubernetes, "service", "demo-scheduler")
    ports = {port["name"]: port.get("nodePort") for port in found["spec"]["ports"]}
    return ports, found["status"]["loadBalancer"].get("ingress") or []


def node_address(kubernetes):
    addresses = read(kubernetes, "nodes")["items"][0]["status"]["addresses"]
    return next(each["address"] for each in addresses if each["type"] == "InternalIP")


@pytest.fixture(autouse=True)
def said(caplog):
    """Return what the log says about ways, line by line, with its level; from before any cluster is made."""
    caplog.set_level(logging.INFO, "dask_gpu_k8s.cluster.connect")

    def lines():
        records = [*caplog.get_records("setup"), *caplog.get_records("call")]
        return [(each.levelname, each.getMessage()) for each in records if each.name.endswith("connect")]

    return lines


@pytest.fixture
def by_node(settings):
    """A cluster whose Service is of type NodePort; not the object under test."""
    with KubeCluster(scheduler_service_type="NodePort", n_workers=1, **settings) as cluster:
        yield cluster


@pytest.fixture
def no_nodes(monkeypatch):
    """Take the right to read nodes away."""
    request = KubeClient.request

    async def guarded(self, method, resource, **kwargs):
        if resource == NODE:
            raise Forbidden(403, "Forbidden", "nodes is forbidden", {}, f"{method} nodes")
        return await request(self, method, resource, **kwargs)

    monkeypatch.setattr(KubeClient, "request", guarded)


def test_row_59_by_port_forward(cluster, settings, said):
    assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
    assert works(cluster)
    assert said() == [
        (
            "INFO",
            f"DaskCluster {settings['namespace']}/demo: its scheduler is reached at "
            f"{cluster.scheduler_address} (port-forward): from outside, its Service is of type ClusterIP",
        )
    ]


def test_row_59_by_node_port(kubernetes, by_node, said):
    ports, _ = service(kubernetes)
    address = node_address(kubernetes)
    assert by_node.scheduler_address == f"tcp://{address}:{ports['tcp-comm']}"
    assert by_node.dashboard_link == f"http://{address}:{ports['http-dashboard']}/status"
    assert works(by_node)
    (line,) = said()
    assert line[0] == "INFO"
    assert line[1].endswith(": from outside, its Service is of type NodePort")


@pytest.mark.parametrize("connect", ["auto", "load-balancer"])
def test_row_59_by_load_balancer(kubernetes, settings, connect):
    settings.update(scheduler_service_type="LoadBalancer", n_workers=1)
    with KubeCluster(connect=connect, **settings) as cluster:
        _, ingress = service(kubernetes)
        assert cluster.scheduler_address == f"tcp://{ingress[0]['ip']}:8786"
        assert cluster.dashboard_link == f"http://{ingress[0]['ip']}:8787/status"
        assert works(cluster)


def test_row_59_a_node_that_is_named_needs_no_rights(kubernetes, by_node, settings, no_nodes):
    ports, _ = service(kubernetes)
    with KubeCluster.from_name(node_port_host="localhost", **settings) as cluster:
        assert cluster.scheduler_address == f"tcp://localhost:{ports['tcp-comm']}"
        assert works(cluster)


def test_row_59_nodes_that_may_not_be_read(by_node, settings, no_nodes, said):
    with KubeCluster.from_name(**settings) as cluster:
        assert works(cluster)
        address = cluster.scheduler_address
    level, line = said()[-1]
    assert address.startswith("tcp://127.0.0.1:")
    assert level == "WARNING"
    assert f"is reached at {address} (port-forward): Service " in line
    assert line.endswith(
        "/demo-scheduler: the nodes, one of whose addresses is needed, may not be read. "
        "Say the address of a node with node_port_host=, which needs no rights."
    )
    with pytest.raises(NotAllowed, match=r"may not be read\. Say the address of a node with node_port_host="):
        KubeCluster.from_name(connect="node-port", **settings)


def test_a_way_that_is_asked_for(by_node, settings, clusters):
    with KubeCluster.from_name(connect="port-forward", **settings) as cluster:
        assert cluster.scheduler_address != by_node.scheduler_address
        assert works(cluster)
    with pytest.raises(
        InvalidArgument, match=r'^connect="load-balancer": .*/demo-scheduler is of type NodeP'
    ):
        KubeCluster.from_name(connect="load-balancer", **settings)
    with pytest.raises(
        InvalidArgument, match=r"^connect=\"direct\": the name demo-scheduler\..*\.svc is not"
    ):
        KubeCluster.from_name(connect="direct", **settings)
    assert clusters() == ["demo"]


def test_a_way_that_the_new_cluster_will_not_have(settings, clusters):
    began = time.monotonic()
    with pytest.raises(InvalidArgument, match=r'is of type ClusterIP\. .* scheduler_service_type="NodePort"'):
        KubeCluster(connect="node-port", **settings)
    assert time.monotonic() - began < 10, "nobody waits for its scheduler"
    assert clusters() == []


def test_a_load_balancer_that_never_gets_an_address(settings, kubernetes, monkeypatch, said):
    """Nothing here serves it: `auto` takes another way at once, and who insists is told in time."""
    monkeypatch.setattr("dask_gpu_k8s.cluster.ways.balancer_host", lambda service: "")
    settings["scheduler_service_type"] = "LoadBalancer"
    with KubeCluster(**settings) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        ((level, line),) = said()
        assert level == "WARNING"
        assert 'no load balancer has given it an address. connect="load-balancer" waits for one' in line
        with pytest.raises(StartFailed, match="no load balancer has given it an address"):
            KubeCluster(connect="load-balancer", resource_timeout=1, **settings)


WISHES = [
    ("auto", None), ("auto", "localhost"), ("direct", None), ("port-forward", None), ("node-port", None)
]  # fmt: skip


async def test_row_34_decided_within_a_second(by_node, kubernetes, monkeypatch):
    requests = []
    request = KubeClient.request

    async def counted(self, method, resource, **kwargs):
        requests.append(resource)
        return await request(self, method, resource, **kwargs)

    async with KubeClient.connect(kubernetes.kubeconfig) as kube:
        found = await kube.get(DASKCLUSTER, "demo", kubernetes.namespace)
        pod = await kube.get(POD, "demo-scheduler", kubernetes.namespace)
        monkeypatch.setattr(KubeClient, "request", counted)
        for inside in (False, True):
            monkeypatch.setattr("dask_gpu_k8s.cluster.surroundings.in_cluster", lambda inside=inside: inside)
            for mode, host in WISHES:
                requests.clear()
                began = time.monotonic()
                wish = Wish(parse_connect_mode(mode), node_port_host=host)
                plan = await find_way(kube, found, pod, wish, 60, lambda text: None)
                assert time.monotonic() - began < 1
                assert len(requests) <= 2
                assert plan.mode == ("direct" if inside else "node-port") or mode != "auto"


INSIDE = """
import json
from distributed import Client
from dask_gpu_k8s import KubeCluster

with KubeCluster.from_name("demo", quiet=True) as cluster, Client(cluster) as client:
    print(json.dumps([cluster.scheduler_address, client.submit(sum, [1, 2, 3]).result(timeout=30)]))
"""


@pytest.mark.parametrize("connect", [{}, {"DASK_KUBERNETES__CONNECT": "direct"}])
def test_row_34_inside_a_pod_directly(by_node, kubernetes, connect):
    """Whatever the Service is; row 37: and whatever the cluster's domain is called."""
    container = {
        "name": "notebook",
        "image": "dask",
        "command": ["python", "-c", INSIDE],
        "env": [{"name": name, "value": value} for name, value in connect.items()],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "notebook"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    kubernetes.kubectl(
        "wait", "pod/notebook", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=40s", check=False
    )
    written = kubernetes.kubectl("logs", "notebook").splitlines()
    address = f"tcp://demo-scheduler.{kubernetes.namespace}.svc:8786"
    assert json.loads(written[-1]) == [address, 6], written
