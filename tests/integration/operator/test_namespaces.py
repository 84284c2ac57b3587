"""Row 33: one setting says which namespaces, and an account with rights in them alone is enough."""

from __future__ import annotations

import asyncio

import pytest

from dask_gpu_k8s.api import rights
from dask_gpu_k8s.api.resources import DASKCLUSTER, NAMESPACE, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.operator.app import Operator
from dask_gpu_k8s.operator.settings import Settings
from tests.integration.gate import gate_to
from tests.integration.operator.conftest import a_cluster, eventually
from tests.integration.roles import covers


def allowing(namespaces, home):
    """Allow what the operator's Roles allow, as RBAC does."""

    def allows(asked):
        rules = [*(rights.OPERATOR_RULES if asked.namespace in namespaces else ())]
        rules += rights.LEASE_RULES if asked.namespace == home else ()
        return covers(rights.role_rules(rules), asked)

    return allows


@pytest.fixture
async def team(kube):
    """Give three namespaces; the last is none of the operator's business."""
    names = [f"{kube.namespace}-{suffix}" for suffix in ("a", "b", "else")]
    for name in names:
        await kube.create(NAMESPACE, {"metadata": {"name": name}})
    yield names
    for name in names:
        await kube.delete(NAMESPACE, name)


async def test_row_33_several_namespaces_with_an_account_that_has_rights_in_them_alone(
    kube, team, bare_kubeconfig, monkeypatch
):
    *watched, other = team
    monkeypatch.setenv("POD_NAMESPACE", kube.namespace)
    async with gate_to(bare_kubeconfig) as (gate, make), KubeClient.connect(make()) as behind:
        gate.allows = allowing(watched, home=kube.namespace)
        operator = Operator(behind, Settings(namespaces=tuple(watched), lease="operator"))
        stop = asyncio.Event()
        running = asyncio.ensure_future(operator.run(stop))
        for namespace in team:
            await kube.create(DASKCLUSTER, {**a_cluster("foo", 2), "metadata": {"name": "foo"}}, namespace)
        for namespace in watched:
            await eventually(lambda namespace=namespace: _pods(kube, namespace, 3))
        await kube.delete(DASKCLUSTER, "foo", watched[0])
        await eventually(lambda: _pods(kube, watched[0], 0))
        assert await _pods(kube, other, 0)
        stop.set()
        await asyncio.wait_for(running, 10)
    assert gate.answers[403] == 0
    everywhere = [path for _, path in gate.asked if "/namespaces/" not in path]
    assert {path.partition("/apis/")[0] for path in everywhere} <= {"/openapi/v3"}


async def _pods(kube, namespace, count):
    return len((await kube.list(POD, namespace))["items"]) == count
