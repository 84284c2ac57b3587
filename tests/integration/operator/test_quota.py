"""A ResourceQuota that is used up is a condition, not a loop."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.conditions import find, told
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, Resource
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.operator.engine import refusals
from dask_gpu_k8s.operator.workergroup import status
from tests.integration.operator.conftest import a_cluster, eventually, running
from tests.integration.operator.test_reconciling import recording

QUOTA = Resource("", "v1", "resourcequotas", "ResourceQuota", "resourcequota")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon what was refused."""
    monkeypatch.setattr(refusals, "RETRY_REFUSED", 0.2)
    monkeypatch.setattr(status, "RETRY_REFUSED", 0.2)


async def allow(kube: KubeClient, pods: int) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": str(pods)}}}
    await kube.create(QUOTA, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})


async def group_when(kube: KubeClient, reason: str, replicas: int) -> dict[str, Any]:
    async def check() -> Any:
        found = (await kube.list(DASKWORKERGROUP))["items"]
        status = (found[0].get("status") or {}) if found else {}
        ready = find(status.get("conditions"), "Ready") or {}
        return (ready.get("reason"), status.get("replicas")) == (reason, replicas) and found[0]

    return dict(await eventually(check))


async def test_row_54_a_lasting_refusal_is_said_once_and_uses_up_no_names(kube):
    await allow(kube, 3)
    async with running(kube):
        await kube.create(DASKCLUSTER, a_cluster("foo", 4))
        group = await group_when(kube, "QuotaExceeded", 2)
        ready = find(group["status"]["conditions"], "Ready")
        assert ready["message"].startswith("0 of 4 ready; no more Pods may be made: ")
        assert "exceeded quota: q" in ready["message"]

        async def cluster_says_so() -> bool:
            return told(await kube.get(DASKCLUSTER, "foo"), "WorkersReady").get("reason") == "QuotaExceeded"

        await eventually(cluster_says_so)
        # From now on one is tried at a time.
        counter = group["status"]["counter"]
        writes = recording(kube)

        async def has_tried() -> bool:
            return sum(write.startswith("POST pods") for write in writes) >= 3

        await eventually(has_tried)
        tried = [write for write in writes if not write.startswith("POST pods")]
        assert set(tried) == {"PATCH daskworkergroups foo-default status"}

        async def is_given_back() -> bool:
            return (await kube.get(DASKWORKERGROUP, "foo-default"))["status"]["counter"] == counter

        await eventually(is_given_back)
        await kube.delete(QUOTA, "q")

        async def is_complete() -> bool:
            return (await kube.get(DASKWORKERGROUP, "foo-default"))["status"]["replicas"] == 4

        await eventually(is_complete)
