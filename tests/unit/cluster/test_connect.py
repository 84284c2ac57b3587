from __future__ import annotations

import pytest

from dask_gpu_k8s import make_cluster_spec
from dask_gpu_k8s.cluster.connect import direct_route
from dask_gpu_k8s.cluster.scheduler_pod import (
    COMM_NAMES,
    DASHBOARD_NAMES,
    container_port,
    is_ready,
    service_port,
)


def test_the_direct_way_names_no_cluster_domain():
    cluster = make_cluster_spec("demo", "dask")
    cluster["metadata"]["namespace"] = "team"
    route = direct_route(cluster)
    assert route.address == "tcp://demo-scheduler.team.svc:8786"
    assert route.dashboard == ("demo-scheduler.team.svc", 8787)


def test_the_direct_way_to_other_ports():
    cluster = make_cluster_spec("demo", "dask")
    cluster["metadata"]["namespace"] = "team"
    cluster["spec"]["scheduler"]["service"]["ports"] = [
        {"name": "tcp-comm", "port": 9786},
        {"name": "dashboard", "port": 80},
    ]
    route = direct_route(cluster)
    assert (route.address, route.dashboard[1]) == ("tcp://demo-scheduler.team.svc:9786", 80)


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ([{"name": "http-dashboard", "containerPort": 9000}], 9000),
        ([{"name": "dashboard", "containerPort": 9001}], 9001),
        ([{"containerPort": 9002}], 8787),
        (None, 8787),
    ],
)
def test_a_container_port_by_name_alias_or_number(ports, found):
    pod = {"spec": {"containers": [{"name": "sidecar"}, {"name": "scheduler", "ports": ports}]}}
    assert container_port(pod, DASHBOARD_NAMES, 8787) == found


def test_a_service_port_by_number():
    assert service_port({}, COMM_NAMES, 8786) == 8786


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({}, False),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, False),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, True),
    ],
)
def test_readiness(status, ready):
    assert is_ready({"status": status}) is ready
