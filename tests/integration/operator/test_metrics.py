"""What the operator shows to Prometheus and to the kubelet."""

from __future__ import annotations

import asyncio

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from tests.integration.operator.conftest import a_cluster, eventually, running

COUNTED_FROM_ZERO = {
    "dask_operator_reconciles": {"kind": "DaskCluster"},
    "dask_operator_reconcile_errors": {"kind": "DaskJob"},
    "dask_operator_scale_actions": {"action": "create"},
    "dask_operator_lease_losses": {},
}


def families(page: str) -> dict:
    return {family.name: family for family in text_string_to_metric_families(page)}


def value(page: str, name: str, **labels: str) -> float | None:
    for family in families(page).values():
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


async def test_row_50_all_of_it_is_there_at_zero_from_the_start(kube):
    async with running(kube) as operator:
        found = families(operator.metrics.page())
    assert {name: family.type for name, family in found.items() if name.startswith("dask_operator_")} == {
        "dask_operator_reconciles": "counter",
        "dask_operator_reconcile_errors": "counter",
        "dask_operator_reconcile_seconds": "histogram",
        "dask_operator_actions": "counter",
        "dask_operator_scale_actions": "counter",
        "dask_operator_api_calls": "counter",
        "dask_operator_api_call_seconds": "histogram",
        "dask_operator_api_calls_in_flight": "gauge",
        "dask_operator_lease_losses": "counter",
        "dask_operator_definition_outdated": "gauge",
        "dask_operator_leading": "gauge",
        "dask_operator_queue_depth": "gauge",
        "dask_operator_queue_age_seconds": "gauge",
        "dask_operator_watch_age_seconds": "gauge",
        "dask_operator_resources": "gauge",
        "dask_operator_workers": "gauge",
        "dask_operator_build_info": "gauge",
    }
    assert all(family.documentation for family in found.values())
    for name, labels in COUNTED_FROM_ZERO.items():
        samples = [sample for sample in found[name].samples if labels.items() <= sample.labels.items()]
        assert [sample.value for sample in samples] == [0.0], name
    calls = {(one.labels["verb"], one.labels["resource"]) for one in found["dask_operator_api_calls"].samples}
    assert {("create", "pods"), ("patch", "daskclusters/status"), ("watch", "services")} <= calls


async def test_row_50_it_counts_runs_actions_and_calls(kube):
    async with running(kube) as operator:
        await kube.create(DASKCLUSTER, a_cluster("foo", 3))
        await eventually(lambda: _has_workers(kube, 3))
        await kube.patch(DASKCLUSTER, "foo", {"spec": {"replicas": 1}}, sub="scale")
        await eventually(lambda: _has_workers(kube, 1))
        await eventually(lambda: _is_counted(operator, "desired", 1.0))
        page = operator.metrics.page()
    assert value(page, "dask_operator_scale_actions_total", action="create") == 3
    assert value(page, "dask_operator_scale_actions_total", action="delete") == 2
    assert value(page, "dask_operator_reconciles_total", kind="DaskWorkerGroup") >= 2
    assert value(page, "dask_operator_reconcile_seconds_count", kind="DaskCluster") >= 1
    assert (
        value(page, "dask_operator_actions_total", action="create", resource="services", result="done") == 2
    )
    # The scheduler's Pod as well.
    assert value(page, "dask_operator_api_calls_total", verb="create", resource="pods", code="201") == 4
    assert value(page, "dask_operator_api_calls_total", verb="watch", resource="pods", code="200") >= 1
    assert value(page, "dask_operator_leading") == 1
    assert value(page, "dask_operator_resources", resource="pods") == 2
    assert value(page, "dask_operator_watch_age_seconds", resource="pods") < 60
    assert value(page, "process_resident_memory_bytes") > 1e7


async def _has_workers(kube, count):
    pods = (await kube.list(POD, labels={"dask.org/component": "worker"}))["items"]
    return len(pods) == count


async def _is_counted(operator, state, number):
    return value(operator.metrics.page(), "dask_operator_workers", state=state) == number


async def test_failures_are_counted_with_their_code(kube):
    async with running(kube) as operator:
        group = {
            "apiVersion": "kubernetes.dask.org/v1",
            "kind": "DaskWorkerGroup",
            "metadata": {"name": "more"},
            "spec": {"cluster": "foo", "worker": a_cluster("foo", 2)["spec"]["worker"]},
        }
        group["spec"]["worker"]["spec"]["containers"][0]["name"] = "Not_A_Name"
        await kube.create(DASKCLUSTER, a_cluster("foo", 0))
        await kube.create(DASKWORKERGROUP, group)

        async def is_refused():
            page = operator.metrics.page()
            refused = value(
                page, "dask_operator_actions_total", action="create", resource="pods", result="refused"
            )
            return refused and value(page, "dask_operator_api_calls_total", resource="pods", code="422")

        await eventually(is_refused)


async def test_pages_of_health_and_metrics(kube, unused_tcp_port):
    address = f"http://127.0.0.1:{unused_tcp_port}"
    async with running(kube, health_port=unused_tcp_port), aiohttp.ClientSession() as session:
        await eventually(lambda: answers(unused_tcp_port, "/readyz"))
        async with session.get(f"{address}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with session.get(f"{address}/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert value(await answer.text(), "dask_operator_leading") is not None


async def test_a_standby_is_ready_and_does_not_lead(kube, unused_tcp_port_factory):
    ports = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with running(kube, lease="one", health_port=ports[0]) as leader:
        await eventually(lambda: _shows(ports[0], "dask_operator_leading", 1.0))
        async with running(kube, lease="one", health_port=ports[1]) as standby:
            await eventually(lambda: answers(ports[1], "/readyz"))
            assert await answers(ports[1], "/healthz")
            assert await _shows(ports[1], "dask_operator_leading", 0.0)
            assert leader.controller is not standby.controller


async def answers(port, path):
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status == 200 and await answer.text()
        except (aiohttp.ClientError, asyncio.TimeoutError):
            return False


async def _shows(port, name, number):
    page = await answers(port, "/metrics")
    return page and value(page, name) == number
