"""Two operators in a real cluster: one works, the other takes over at once, and both show how they are."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dask_gpu_k8s.api import deploy
from dask_gpu_k8s.api.conditions import holds
from dask_gpu_k8s.api.manifests import OPERATOR_NAMESPACE
from dask_gpu_k8s.api.resources import NAMESPACE
from dask_gpu_k8s.kube.client import KubeClient
from tests.clusters import REAL
from tests.e2e.deploy import stories
from tests.e2e.deploy.conftest import Kubectl
from tests.e2e.deploy.stories import Stage

pytestmark = pytest.mark.only(REAL, "LocalKubernetes runs no Deployments")

HOME = ("-n", OPERATOR_NAMESPACE)
SHOW = f"""
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:{deploy.HEALTH_PORT}/metrics").read().decode())
"""


@pytest.fixture
def pair(kubectl: Kubectl, installed: Path) -> Iterator[Kubectl]:
    """Run two operators for as long as the test lasts."""
    kubectl(*HOME, "scale", "deployment", deploy.CHART, "--replicas=2")
    kubectl(*HOME, "rollout", "status", "deployment", deploy.CHART, "--timeout=120s")
    yield kubectl
    kubectl(*HOME, "scale", "deployment", deploy.CHART, "--replicas=1")


@pytest.fixture
async def stage(installed: Path) -> AsyncIterator[Stage]:
    async with KubeClient.connect(installed) as kube:
        made = await kube.create(NAMESPACE, {"metadata": {"generateName": "leading-"}})
        yield Stage(kube, made["metadata"]["name"], OPERATOR_NAMESPACE)
        await kube.delete(NAMESPACE, made["metadata"]["name"])


def leading(kubectl: Kubectl) -> dict[str, bool]:
    """Ask each operator that is ready whether it works."""
    pods = json.loads(kubectl(*HOME, "get", "pods", "-o", "json"))["items"]
    names = [
        pod["metadata"]["name"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and holds(pod["status"].get("conditions"), "Ready")
    ]
    pages = {name: kubectl(*HOME, "exec", name, "--", "python", "-c", SHOW) for name in names}
    return {name: "dask_operator_leading 1\n" in page for name, page in pages.items()}


async def test_the_second_operator_takes_over_at_once(pair: Kubectl, stage: Stage):
    await stories.comes_up(stage, workers=0)
    found = leading(pair)
    assert sorted(found.values()) == [False, True]
    [leader] = [name for name, leads in found.items() if leads]
    [other] = set(found) - {leader}
    began = time.monotonic()
    pair(*HOME, "delete", "pod", leader, "--wait=false")
    while not leading(pair).get(other):
        assert time.monotonic() - began < 20.0
    stage.name = "after"
    await stories.comes_up(stage, workers=1)
    lease = json.loads(pair(*HOME, "get", "lease", deploy.CHART, "-o", "json"))
    assert lease["spec"]["holderIdentity"].startswith(f"{other}_")


async def test_an_upgrade_leaves_nobody_waiting(kubectl: Kubectl, stage: Stage):
    """The new operator is ready before the old one ends, which gives its Lease back."""
    kubectl(*HOME, "rollout", "restart", "deployment", deploy.CHART)
    kubectl(*HOME, "rollout", "status", "deployment", deploy.CHART, "--timeout=120s")
    began = time.monotonic()
    await stories.comes_up(stage, workers=0)
    assert time.monotonic() - began < 20.0
