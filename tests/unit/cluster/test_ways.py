"""The way to a scheduler, for every kind of Service, place and wish."""

from __future__ import annotations

import pytest

from dask_gpu_k8s import make_cluster_spec
from dask_gpu_k8s.cluster.ways import Wish, asked_service, decide, meant_mode, parse_connect_mode
from dask_gpu_k8s.errors import InvalidArgument, NotAllowed, StartFailed

POD = {
    "spec": {
        "nodeName": "two",
        "containers": [
            {
                "name": "scheduler",
                "ports": [
                    {"name": "tcp-comm", "containerPort": 8786},
                    {"name": "dashboard", "containerPort": 9787},
                ],
            }
        ],
    }
}

INTERNAL, EXTERNAL = ("InternalIP", "10.0.0."), ("ExternalIP", "34.0.0.")


def node(name, number, *kinds, ready="True"):
    addresses = [{"type": kind, "address": f"{prefix}{number}"} for kind, prefix in kinds]
    return {
        "metadata": {"name": name},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}, *addresses],
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


ONE, TWO = node("one", 1, INTERNAL), node("two", 2, INTERNAL)
NODES = [ONE, TWO]


def service(kind, ingress=None, node_ports=True, ports=(8786, 8787)):
    made = [
        {"name": name, "port": port, "targetPort": name, **({"nodePort": number} if node_ports else {})}
        for name, port, number in (("tcp-comm", ports[0], 30001), ("http-dashboard", ports[1], 30002))
    ]
    return {
        "metadata": {"name": "demo-scheduler", "namespace": "team"},
        "spec": {"type": kind, "ports": made},
        "status": {"loadBalancer": {"ingress": ingress} if ingress else {}},
    }


CLUSTER_IP, NODE_PORT = service("ClusterIP", node_ports=False), service("NodePort")
BALANCER = service("LoadBalancer", [{"ip": "203.0.113.7", "ipMode": "VIP"}])
BALANCER_BY_NAME = service("LoadBalancer", [{}, {"hostname": "lb.example.org"}], ports=(786, 80))
BALANCER_TO_COME = service("LoadBalancer")

DIRECT = ("direct", "demo-scheduler.team.svc", 8786, 8787)
FORWARD = ("port-forward", "", 8786, 9787)
BY_NODE = ("node-port", "10.0.0.2", 30001, 30002)
BY_HOST = ("node-port", "edge.example.org", 30001, 30002)
BY_BALANCER = ("load-balancer", "203.0.113.7", 8786, 8787)
BY_BALANCERS_NAME = ("load-balancer", "lb.example.org", 786, 80)

HOST = "edge.example.org"
NEVER = {"forwards": False}

# what is said, inside or outside, Service, nodes: the way
TABLE = [
    # inside a Pod: directly, whatever the Service is
    ({}, "inside", CLUSTER_IP, None, DIRECT),
    ({}, "inside", NODE_PORT, NODES, DIRECT),
    ({}, "inside", BALANCER, NODES, DIRECT),
    ({}, "inside", BALANCER_TO_COME, NODES, DIRECT),
    (NEVER, "inside", NODE_PORT, NODES, DIRECT),
    ({"node_port_host": HOST}, "inside", NODE_PORT, NODES, DIRECT),
    # outside: by what the Service is
    ({}, "outside", CLUSTER_IP, NODES, FORWARD),
    ({}, "outside", NODE_PORT, NODES, BY_NODE),
    ({}, "outside", BALANCER, None, BY_BALANCER),
    ({}, "outside", BALANCER_BY_NAME, None, BY_BALANCERS_NAME),
    ({"node_port_host": HOST}, "outside", NODE_PORT, None, BY_HOST),
    ({"node_port_host": HOST}, "outside", CLUSTER_IP, None, FORWARD),
    # outside, and what the Service promises is not there
    ({}, "outside", NODE_PORT, None, FORWARD),
    ({}, "outside", NODE_PORT, [], FORWARD),
    ({}, "outside", NODE_PORT, [node("two", 2)], FORWARD),
    ({}, "outside", service("NodePort", node_ports=False), NODES, FORWARD),
    ({}, "outside", BALANCER_TO_COME, NODES, FORWARD),
    # outside, never by port-forward
    (NEVER, "outside", CLUSTER_IP, NODES, DIRECT),
    (NEVER, "outside", NODE_PORT, NODES, BY_NODE),
    (NEVER, "outside", BALANCER, NODES, BY_BALANCER),
    # said outright, it holds inside as well
    *[
        ({"mode": mode, **more}, place, kind, nodes, way)
        for place in ("inside", "outside")
        for mode, more, kind, nodes, way in [
            ("direct", {}, CLUSTER_IP, None, DIRECT),
            ("direct", {}, BALANCER, None, DIRECT),
            ("port-forward", {}, CLUSTER_IP, None, FORWARD),
            ("port-forward", {}, NODE_PORT, NODES, FORWARD),
            ("port-forward", {}, BALANCER, NODES, FORWARD),
            ("node-port", {}, NODE_PORT, NODES, BY_NODE),
            ("node-port", {}, BALANCER_TO_COME, NODES, BY_NODE),
            ("node-port", {"node_port_host": HOST}, NODE_PORT, None, BY_HOST),
            ("load-balancer", {}, BALANCER, None, BY_BALANCER),
            ("load-balancer", {}, BALANCER_BY_NAME, None, BY_BALANCERS_NAME),
        ]
    ],
]


def wish(mode="auto", **more):
    return Wish(parse_connect_mode(mode), **more)


@pytest.mark.parametrize(("said", "place", "kind", "nodes", "way"), TABLE)
def test_rows_34_and_59_the_way(said, place, kind, nodes, way):
    plan = decide(kind, POD, nodes, inside=place == "inside", wish=wish(**said))
    assert (plan.mode, plan.host, plan.comm, plan.dashboard) == way
    promised = {"NodePort": "node-port", "LoadBalancer": "load-balancer"}.get(kind["spec"]["type"])
    assert plan.is_second_choice == (
        place == "outside" and not said.get("mode") and bool(promised) and plan.mode != promised
    )


@pytest.mark.parametrize(
    ("said", "kind", "nodes", "error", "message"),
    [
        (
            {"mode": "node-port"},
            CLUSTER_IP,
            NODES,
            InvalidArgument,
            'connect="node-port": the scheduler\'s Service team/demo-scheduler is of type ClusterIP. '
            'Create the cluster with scheduler_service_type="NodePort", or say connect="auto".',
        ),
        (
            {"mode": "load-balancer"},
            NODE_PORT,
            NODES,
            InvalidArgument,
            'connect="load-balancer": the scheduler\'s Service team/demo-scheduler is of type NodePort. '
            'Create the cluster with scheduler_service_type="LoadBalancer", or say connect="auto".',
        ),
        (
            {"mode": "load-balancer"},
            BALANCER_TO_COME,
            NODES,
            StartFailed,
            "Service team/demo-scheduler: no load balancer has given it an address. "
            'connect="load-balancer" waits for one as long as resource_timeout; '
            'connect="port-forward" needs none.',
        ),
        (
            NEVER,
            BALANCER_TO_COME,
            NODES,
            StartFailed,
            "Service team/demo-scheduler: no load balancer has given it an address. "
            'connect="load-balancer" waits for one as long as resource_timeout; '
            'connect="port-forward" needs none.',
        ),
        (
            {"mode": "node-port"},
            service("LoadBalancer", node_ports=False),
            NODES,
            StartFailed,
            'Service team/demo-scheduler: its port 8786 has no node port. connect="port-forward" needs none.',
        ),
        (
            {"mode": "node-port"},
            NODE_PORT,
            None,
            NotAllowed,
            "Service team/demo-scheduler: the nodes, one of whose addresses is needed, may not be read. "
            "Say the address of a node with node_port_host=, which needs no rights.",
        ),
        (
            {"mode": "node-port"},
            NODE_PORT,
            [node("two", 2, INTERNAL, ready="False")],
            StartFailed,
            "Service team/demo-scheduler: no node that is Ready has an address. "
            "Say one with node_port_host=.",
        ),
    ],
)
def test_a_way_that_does_not_exist(said, kind, nodes, error, message):
    with pytest.raises(error) as caught:
        decide(kind, POD, nodes, inside=False, wish=wish(**said))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        (NODES, "10.0.0.2"),
        ([ONE, node("two", 2, INTERNAL, ready="False")], "10.0.0.1"),
        ([ONE], "10.0.0.1"),
        ([ONE, node("two", 2)], "10.0.0.1"),
        ([node("two", 2, EXTERNAL)], "34.0.0.2"),
        ([node("two", 2, EXTERNAL, INTERNAL)], "10.0.0.2"),
        ([node("two", 2, INTERNAL, ("InternalIP", "fd00::"))], "10.0.0.2"),
        ([node("two", 2, ("InternalIP", "fd00::"))], "fd00::2"),
    ],
)
def test_the_address_of_a_node(nodes, host):
    assert decide(NODE_PORT, POD, nodes, inside=False, wish=Wish()).host == host


@pytest.mark.parametrize(
    ("said", "place", "kind", "nodes", "why"),
    [
        ({}, "inside", NODE_PORT, NODES, "this process runs in a Pod"),
        ({}, "outside", NODE_PORT, NODES, "from outside, its Service is of type NodePort"),
        (
            NEVER,
            "outside",
            CLUSTER_IP,
            NODES,
            "from outside, its Service is of type ClusterIP, and port_forward_cluster_ip=False",
        ),
        ({"mode": "direct"}, "outside", NODE_PORT, NODES, 'connect="direct"'),
        (
            {},
            "outside",
            NODE_PORT,
            None,
            "Service team/demo-scheduler: the nodes, one of whose addresses is needed, may not be read. "
            "Say the address of a node with node_port_host=, which needs no rights.",
        ),
    ],
)
def test_the_reason_is_said(said, place, kind, nodes, why):
    assert decide(kind, POD, nodes, inside=place == "inside", wish=wish(**said)).why == why


def test_row_37_no_cluster_domain():
    cluster = make_cluster_spec("demo", "dask")
    cluster["metadata"]["namespace"] = "team"
    plan = decide(asked_service(cluster), POD, None, inside=True, wish=Wish())
    assert (plan.host, plan.comm, plan.dashboard) == ("demo-scheduler.team.svc", 8786, 8787)


def test_a_service_that_may_not_be_read_is_known_by_its_cluster():
    cluster = make_cluster_spec("demo", "dask", scheduler_service_type="NodePort")
    cluster["metadata"]["namespace"] = "team"
    asked = asked_service(cluster)
    assert meant_mode(asked, False, Wish()) == "node-port"
    assert decide(asked, POD, NODES, inside=False, wish=Wish()).mode == "port-forward"


def test_a_service_with_other_ports():
    """Flyte calls the dashboard's port `dashboard`; others leave it out."""
    flyte = service("NodePort")
    flyte["spec"]["ports"][1]["name"] = "dashboard"
    assert decide(flyte, POD, NODES, inside=False, wish=Wish()).dashboard == 30002
    alone = service("NodePort")
    del alone["spec"]["ports"][1]
    assert decide(alone, POD, NODES, inside=False, wish=Wish()).dashboard is None
    assert decide({**alone, "spec": {}}, POD, None, inside=True, wish=Wish()).dashboard == 8787


@pytest.mark.parametrize("value", ["node-port", "NODE_PORT", "Node-Port"])
def test_ways_are_words(value):
    assert parse_connect_mode(value) == "node-port"
    assert f"{parse_connect_mode(value)}" == "node-port"


@pytest.mark.parametrize("value", ["forward", 1, None, True])
def test_a_way_that_there_is_none(value):
    with pytest.raises(
        InvalidArgument, match=r"^connect: .* Use one of auto, direct, port-forward, node-port"
    ):
        parse_connect_mode(value)
