"""Certificates of secured clusters on an API server: made once, kept, renewed, never taken from others."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from distributed import Scheduler
from distributed.security import Security

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import DASKCLUSTER, EVENT, POD, SECRET
from dask_gpu_k8s.kube.errors import NotFound
from dask_gpu_k8s.operator.daskcluster import status
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.schedulers.api import SchedulerApi
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink
from dask_gpu_k8s.operator.security.renewal import issue
from tests.integration.operator.conftest import a_cluster, eventually, running
from tests.integration.operator.test_reconciling import recording, status_of


def a_secured_cluster(**spec: Any) -> dict[str, Any]:
    cluster = a_cluster("foo", 1)
    return {**cluster, "spec": {**cluster["spec"], "security": True, **spec}}


async def the_secret(kube) -> dict[str, Any]:
    try:
        return await kube.get(SECRET, "foo-tls")
    except NotFound:
        return {}


async def said(kube, type_: str = "Secured") -> str:
    cluster = await kube.get(DASKCLUSTER, "foo")
    found = find((cluster.get("status") or {}).get("conditions"), type_) or {}
    return str(found.get("reason"))


async def is_issued(kube) -> bool:
    return await said(kube) == "CertificatesIssued"


async def pods(kube) -> list[str]:
    return [pod["metadata"]["name"] for pod in (await kube.list(POD))["items"]]


async def _has_run(operator, runs: int) -> bool:
    """Say whether nothing is due; a secured cluster is always to be looked at some day."""
    return operator.controller.counts.runs >= runs and operator._queue.due()[0] == 0


async def test_row_39_certificates_are_made_once_and_outlive_the_operator(kube):
    await kube.create(DASKCLUSTER, a_secured_cluster())
    async with running(kube):
        await eventually(lambda: is_issued(kube))
        secret = await the_secret(kube)
        assert set(secret["data"]) == {"ca.crt", "tls.crt", "tls.key", "next.crt", "next.key"}
        assert secret["metadata"]["ownerReferences"][0]["kind"] == "DaskCluster"
        await eventually(lambda: pods(kube))
    async with running(kube) as again:
        await eventually(lambda: _has_run(again, 2))
        assert await the_secret(kube) == secret


async def test_row_39_a_settled_secured_cluster_is_not_written_to(kube):
    await kube.create(DASKCLUSTER, a_secured_cluster())
    async with running(kube):
        await eventually(lambda: is_issued(kube))
        counts = {"replicas": 1, "desiredWorkers": 1, "pendingWorkers": 1}
        await status_of(kube, DASKCLUSTER, "foo", phase="Pending", **counts)
    async with running(kube) as operator:
        await eventually(lambda: _has_run(operator, 2))
        writes = recording(kube)
        runs = operator.controller.counts.runs
        await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"touched": "yes"}}})
        await eventually(lambda: _has_run(operator, runs + 1))
        assert writes == ["PATCH daskclusters foo "]


async def test_row_39_a_renewal_that_is_asked_for_happens_once(kube):
    await kube.create(DASKCLUSTER, a_secured_cluster())
    async with running(kube):
        await eventually(lambda: is_issued(kube))
        before = await the_secret(kube)
        wish = {"metadata": {"annotations": {labels.RENEW: "today"}}}
        await kube.patch(DASKCLUSTER, "foo", wish)

        async def is_renewed() -> bool:
            return (await the_secret(kube))["data"]["tls.crt"] == before["data"]["next.crt"]

        await eventually(is_renewed)
        await eventually(lambda: is_told(kube, "CertificatesRenewed"))
        after = await the_secret(kube)
        await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"touched": "yes"}}})
        await eventually(lambda: is_issued(kube))
        assert await the_secret(kube) == after


async def is_told(kube, reason: str) -> bool:
    events = (await kube.list(EVENT, fields="involvedObject.kind=DaskCluster"))["items"]
    return any(event["reason"] == reason for event in events)


async def test_row_39_a_deleted_secret_is_made_anew_and_that_is_told(kube):
    await kube.create(DASKCLUSTER, a_secured_cluster())
    async with running(kube):
        await eventually(lambda: is_issued(kube))
        before = await the_secret(kube)
        await kube.delete(SECRET, "foo-tls")
        await kube.patch(DASKCLUSTER, "foo", {"metadata": {"labels": {"touched": "yes"}}})
        await eventually(lambda: the_secret(kube))
        assert (await the_secret(kube))["data"]["ca.crt"] != before["data"]["ca.crt"]
        await eventually(lambda: is_told(kube, "CertificatesReplaced"))


async def test_row_39_a_secret_of_somebody_else_is_left_alone(kube, monkeypatch):
    monkeypatch.setattr(status, "RETRY_NAME_TAKEN", 0.1)
    stranger = {"metadata": {"name": "foo-tls"}, "stringData": {"password": "mine"}}
    made = await kube.create(SECRET, stranger)
    await kube.create(DASKCLUSTER, a_secured_cluster())
    async with running(kube):

        async def is_taken() -> bool:
            return await said(kube, "Accepted") == await said(kube) == "NameTaken"

        await eventually(is_taken)
        assert await pods(kube) == []
        assert await the_secret(kube) == made
        await kube.delete(SECRET, "foo-tls")
        await eventually(lambda: is_issued(kube))
        await eventually(lambda: pods(kube))


async def test_row_39_the_operator_shows_a_scheduler_its_clusters_certificate(kube):
    """By what is in the Secret, read again after a failure; a scheduler of another cluster is none."""
    now = datetime.now(timezone.utc)
    good, other = (issue("foo", ["localhost"], None, now) for _ in range(2))
    security = Security(
        require_encryption=True,
        tls_ca_file=good["ca.crt"].decode(),
        tls_scheduler_cert=good["tls.crt"].decode(),
        tls_scheduler_key=good["tls.key"].decode(),
    )
    api = SchedulerApi(SchedulerLink(kube, direct=True, timeout=5), patience=5)
    async with Scheduler(
        host="127.0.0.1", port=0, protocol="tls", security=security, dashboard_address=":0"
    ) as scheduler:
        at = SchedulerAt(
            kube.namespace, "foo", "foo-scheduler", "u", "127.0.0.1", scheduler.port, 8786, "foo-tls"
        )
        with pytest.raises(SchedulerUnreachable, match="not found"):
            await api.workers(at)
        await kube.create(SECRET, {"metadata": {"name": "foo-tls"}, "data": encoded(other)})
        with pytest.raises(SchedulerUnreachable, match="certificate verify failed"):
            await api.workers(at)
        await kube.patch(SECRET, "foo-tls", {"data": encoded(good)})
        assert await api.workers(at) == {}
        with pytest.raises(SchedulerUnreachable):
            await api.workers(replace(at, secret=""))
        await kube.patch(SECRET, "foo-tls", {"data": encoded({"tls.key": b"no key"})})
        with pytest.raises(SchedulerUnreachable, match=r"'foo-tls' cannot be used: it does not hold"):
            await api.workers(replace(at, uid="another"))
    await api.close()


def encoded(data: dict[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}
