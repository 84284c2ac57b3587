"""Row 5: whatever call of the API fails once, a job reaches its end, and then nothing is written any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Conflict, KubeError, ServerError, TooManyRequests, Unreachable
from tests.integration.operator.conftest import eventually, running
from tests.integration.operator.jobs import a_job, ends, status_of

JOBS = 96
"""More than a job has calls, with a retry and until its cluster is gone: the n-th loses its n-th call."""

ERRORS: dict[str, KubeError] = {
    "409": Conflict(409, "Conflict", "injected", {}, "x"),
    "429": TooManyRequests(429, "TooManyRequests", "injected", {}, "x"),
    "500": ServerError(500, "InternalError", "injected", {}, "x"),
    "timeout": Unreachable("injected"),
}


class Faults:
    """Lets the n-th call about the n-th job fail."""

    def __init__(self, kube: KubeClient, error: KubeError, *, after: bool) -> None:
        self.hit: set[int] = set()
        self.writes = 0
        self._send = kube.request
        self._error = error
        self._after = after
        self.calls = [0] * JOBS

    async def request(self, method: str, resource: Any, **more: Any) -> Any:
        self.writes += method != "GET"
        number = _job_of(more)
        if number is None:
            return await self._send(method, resource, **more)
        self.calls[number] += 1
        if self.calls[number] != number + 1:
            return await self._send(method, resource, **more)
        self.hit.add(number)
        if self._after:
            await self._send(method, resource, **more)
        raise self._error


def _job_of(more: dict[str, Any]) -> int | None:
    """Return the number of the job that a call is about; lists and watches are about none."""
    body = more.get("body") if isinstance(more.get("body"), dict) else {}
    about = body.get("involvedObject") or body.get("metadata") or {}
    name = str(more.get("name") or about.get("name") or "")
    return int(name.split("-")[1]) if name.startswith("job-") else None


async def play(kube: KubeClient, is_over: asyncio.Event) -> None:
    """Be the node: of each job the first runner fails, the second ends well."""
    seen: set[str] = set()
    while not is_over.is_set():
        pods = (await kube.list(POD, labels={labels.COMPONENT: labels.JOB_RUNNER}))["items"]
        for pod in pods:
            meta = pod["metadata"]
            if meta["uid"] not in seen:
                seen.add(meta["uid"])
                job = meta["labels"][labels.CLUSTER_NAME]
                await ends(kube, job, int(meta["annotations"][labels.JOB_ATTEMPT] == "0"))
        await asyncio.sleep(0.02)


@pytest.fixture
async def nodes(bare_kubeconfig: Any, kube: KubeClient) -> AsyncIterator[KubeClient]:
    """Give a client that no fault befalls; with it a node plays its part."""
    async with KubeClient.connect(bare_kubeconfig) as other:
        other.namespace = kube.namespace
        is_over = asyncio.Event()
        playing = asyncio.ensure_future(play(other, is_over))
        yield other
        is_over.set()
        await playing


@pytest.mark.parametrize(
    ("error", "after"),
    [("409", False), ("429", False), ("500", False), ("timeout", False), ("500", True), ("timeout", True)],
    ids=lambda value: value if isinstance(value, str) else ("after" if value else "before"),
)
async def test_row_5_whatever_call_fails_once_a_job_reaches_its_end(kube, nodes, error, after):
    faults = Faults(kube, ERRORS[error], after=after)
    for number in range(JOBS):
        await nodes.create(DASKJOB, a_job(f"job-{number}", backoffLimit=1))
    kube.request = faults.request  # type: ignore[method-assign]
    async with running(kube) as operator:
        for number in range(JOBS):
            status = await status_of(nodes, f"job-{number}", 60, jobStatus="Successful")
            assert (status["failed"], status["attempt"]) == (1, 1)
        await eventually(lambda: _only_runners(nodes), 30)
        await eventually(lambda: _is_at_rest(operator, faults))
        assert await _is_at_rest(operator, faults), "it stays so"
    assert len(faults.hit) >= 20
    assert sorted(faults.calls)[JOBS // 2] < JOBS, "each call of a usual job has failed once"


async def _only_runners(kube: KubeClient) -> bool:
    names = [pod["metadata"]["name"] for pod in (await kube.list(POD))["items"]]
    clusters = (await kube.list(DASKCLUSTER))["items"]
    return sorted(names) == sorted(f"job-{number}-runner" for number in range(JOBS)) and not clusters


async def _is_at_rest(operator: Any, faults: Faults) -> bool:
    """Nothing is due, and in a second nothing is written"""
    before = faults.writes
    await asyncio.sleep(1.0)  # time in which a restless one would write
    return len(operator._queue) == 0 and faults.writes == before
