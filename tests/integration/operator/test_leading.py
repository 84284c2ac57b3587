"""Several operators for the same resources: by a Lease one works; and if two do, no worker is made twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, LEASE, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.operator.app import Operator
from dask_gpu_k8s.operator.settings import Settings
from tests.integration.operator.conftest import a_cluster, eventually
from tests.integration.operator.test_metrics import answers

QUICK = {"lease": "operator", "lease_duration": 3.0}
CALM = {"lease": "operator", "lease_duration": 12.0}
"""For where nobody's Lease has to run out."""


class Running:
    """An operator in a task, with a client of its own."""

    def __init__(self, kube, **settings):
        self.kube = KubeClient(kube.connection)
        self.kube.namespace = kube.namespace
        self.operator = Operator(self.kube, Settings(namespaces=(kube.namespace,), **settings))
        self.stop = asyncio.Event()
        self.task = asyncio.ensure_future(self.operator.run(self.stop))

    @property
    def leads(self):
        return self.operator._is_working

    async def end(self):
        self.stop.set()
        await asyncio.wait_for(self.task, 10)


@pytest.fixture
async def start(kube, monkeypatch):
    """Start operators; they end with the test."""
    # The Lease of operators that run in no Pod is in their client's namespace.
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    started = []

    def one(**settings):
        started.append(Running(kube, **settings))
        return started[-1]

    yield one
    for each in started:
        each.task.cancel()
        await asyncio.gather(each.task, return_exceptions=True)
        await each.kube.close()


async def until(holds, seconds=20.0):
    async def check():
        return holds()

    return await eventually(check, seconds)


async def workers(kube):
    return (await kube.list(POD, labels={labels.COMPONENT: labels.WORKER}))["items"]


async def until_workers(kube, count, seconds=20.0):
    async def check():
        found = [pod for pod in await workers(kube) if "deletionTimestamp" not in pod["metadata"]]
        return len(found) == count and found

    return await eventually(check, seconds)


async def test_of_two_one_works_and_the_other_is_ready(kube, start):
    first = start(**CALM)
    await until(lambda: first.leads)
    second = start(**CALM)
    await until(lambda: not second.operator.following.unsynced())
    await kube.create(DASKCLUSTER, a_cluster("foo", 2))
    await until_workers(kube, 2)
    assert second.operator.controller.counts.runs == 0
    assert not second.leads
    assert second.operator.following.stalled() == []
    assert len(second.operator._queue) == 0, "it would grow for as long as it waits"


async def test_the_second_takes_over_at_once_after_a_clean_stop(kube, start):
    first = start(**CALM)
    await until(lambda: first.leads)
    second = start(**CALM)
    await until(lambda: not second.operator.following.unsynced())
    await kube.create(DASKCLUSTER, a_cluster("foo", 1))
    await until_workers(kube, 1)
    await first.end()
    stopped = time.monotonic()
    await until(lambda: second.leads)
    assert time.monotonic() - stopped < CALM["lease_duration"]
    await kube.patch(DASKCLUSTER, "foo", {"spec": {"replicas": 3}}, sub="scale")
    await until_workers(kube, 3)


@contextlib.asynccontextmanager
async def process(kube, kubeconfig, pod, port):
    """Run an operator as a process, as in a Pod of this name; nothing of it stays."""
    command = ("-m", "dask_gpu_k8s.operator", "--leader-elect", "operator", "--namespace", kube.namespace)
    command += ("--health-port", str(port))
    place = {"POD_NAMESPACE": kube.namespace, "POD_NAME": pod, "POD_UID": "u"}
    running = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **place, "KUBECONFIG": str(kubeconfig)}
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
        await asyncio.wait_for(running.wait(), 10)


async def test_the_second_takes_over_in_under_20_s_after_a_crash(
    kube, bare_kubeconfig, unused_tcp_port_factory
):
    ports = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with (
        process(kube, bare_kubeconfig, "a", ports[0]) as one,
        process(kube, bare_kubeconfig, "b", ports[1]) as other,
    ):
        for port in ports:  # Whoever comes later counts from its own first look at the Lease.
            await eventually(lambda port=port: answers(port, "/readyz"), 30.0)
        await kube.create(DASKCLUSTER, a_cluster("foo", 1))
        await until_workers(kube, 1)
        before = (await kube.get(LEASE, "operator"))["spec"]
        leader = {"a_u": one, "b_u": other}[before["holderIdentity"]]
        leader.kill()
        await kube.patch(DASKCLUSTER, "foo", {"spec": {"replicas": 3}}, sub="scale")
        await until_workers(kube, 3, seconds=20.0)
        after = (await kube.get(LEASE, "operator"))["spec"]
        assert {before["holderIdentity"], after["holderIdentity"]} == {"a_u", "b_u"}
    assert (await kube.get(LEASE, "operator"))["spec"]["holderIdentity"] == "", "a clean end releases it"


async def test_whoever_loses_leadership_stops_and_may_lead_again(kube, start):
    only = start(**QUICK)
    await until(lambda: only.leads)
    await kube.patch(LEASE, "operator", {"spec": {"holderIdentity": "somebody"}})
    await until(lambda: not only.leads)
    await until(lambda: only.operator.metrics.losses.value() >= 1)
    await kube.create(DASKCLUSTER, a_cluster("foo", 2))
    # Somebody never renews: after a while it is taken for dead, and what came meanwhile is done.
    await until_workers(kube, 2)
    assert only.leads


async def test_a_new_leader_does_not_go_by_what_it_saw_before(kube, start, monkeypatch):
    """Its watches may lag behind what the last leader did: here they are blind from the beginning."""
    first = start(**CALM)
    await until(lambda: first.leads)
    second = start(**CALM)
    await until(lambda: not second.operator.following.unsynced())
    for reflector in second.operator.following.reflectors.values():
        monkeypatch.setattr(reflector, "_apply", lambda event: None)
    await kube.create(DASKCLUSTER, a_cluster("foo", 5))
    before = {pod["metadata"]["name"] for pod in await until_workers(kube, 5)}
    await first.end()
    await until(lambda: second.leads)
    await until(lambda: second.operator.controller.counts.runs >= 2 and not second.operator._queue.due()[0])
    assert {pod["metadata"]["name"] for pod in await workers(kube)} == before


async def test_two_that_overlap_never_make_a_worker_twice(kube, start):
    """Both work, without a Lease, and meet at every write."""
    made: Counter[str] = Counter()
    watching = asyncio.ensure_future(_note(kube, made))
    pair = start(), start()
    await until(lambda: all(each.leads for each in pair))
    for index in range(5):
        await kube.create(DASKCLUSTER, a_cluster(f"c{index}", 4))
    await until_workers(kube, 20)
    for count in (9, 2, 7):
        for index in range(5):
            await kube.patch(DASKCLUSTER, f"c{index}", {"spec": {"replicas": count}}, sub="scale")
        await until_workers(kube, 5 * count)
    await eventually(lambda: _is_settled(kube, pair))
    await until_workers(kube, 35)
    watching.cancel()
    assert [name for name, count in made.items() if count > 1] == []
    for index in range(5):
        group = await kube.get(DASKWORKERGROUP, f"c{index}-default")
        names = sum(name.startswith(f"c{index}-") for name in made)
        assert names <= group["status"]["counter"], "each Pod has a number of its own"


async def _note(kube, made):
    """Count the Pods that were made under each name."""
    seen = set()
    selector = {labels.COMPONENT: labels.WORKER}
    while True:
        async for event in kube.watch(POD, labels=selector, timeout_seconds=300):
            meta = event["object"]["metadata"]
            if event["type"] == "ADDED" and meta["uid"] not in seen:
                seen.add(meta["uid"])
                made[meta["name"]] += 1


async def _is_settled(kube, pair):
    statuses = [group["status"] for group in (await kube.list(DASKWORKERGROUP))["items"]]
    return all(status.get("replicas") == 7 for status in statuses) and not any(
        each.operator._queue.due()[0] for each in pair
    )
