from __future__ import annotations

import pytest

from dask_gpu_k8s.cluster.scheduler_pod import (
    DASHBOARD_NAMES,
    container_port,
    is_ready,
    service_port,
)


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


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ([{"name": "dashboard", "port": 80}], 80),
        ([{"name": "tcp-comm", "port": 8786}, {"name": "http-dashboard", "port": 80}], 80),
        ([{"name": "a", "port": 8787}, {"name": "http-dashboard", "port": 80}], 80),
        ([{"name": "a", "port": 8787}], 8787),
        ([{"name": "a", "port": 80, "targetPort": 8787}], 80),
        ([{"name": "a", "port": 80, "targetPort": "http-dashboard"}], None),
        (None, None),
    ],
)
def test_a_service_port_by_name_alias_or_number(ports, found):
    port = service_port({"ports": ports}, DASHBOARD_NAMES, 8787)
    assert (port and port["port"]) == found


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
