"""Leadership by a Lease, on a real API: who works, and that nobody does who has lost it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time

import pytest

from dask_gpu_k8s.api.resources import LEASE
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden, Unreachable
from dask_gpu_k8s.kube.lease import Lease, LeaseLost, Times
from dask_gpu_k8s.local import LocalKubernetes

# A release gets a period and a renewal a deadline: more than a busy machine makes of some milliseconds.
QUICK = Times(duration=4.0, deadline=3.0, period=0.5)
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server():
    with LocalKubernetes() as kubernetes:
        yield kubernetes


@pytest.fixture
async def kube(server):
    async with KubeClient.connect(server.kubeconfig) as kube:
        yield kube


class Candidate:
    """Somebody who wants to lead, and notes when they do."""

    def __init__(self, kube, lease, identity, times=QUICK):
        self.lease = Lease(kube, "default", lease, identity, times)
        self.began = asyncio.Event()
        self.ended_at = None
        self.may_end = asyncio.Event()

    async def work(self):
        self.began.set()
        try:
            await self.may_end.wait()
        finally:
            self.ended_at = time.monotonic()


@pytest.fixture
async def elect(kube):
    """Let candidates compete for one Lease; one of a name at a time."""
    lease, tasks = f"lease-{next(_numbers)}", []

    def start(identity, client=kube):
        candidate = Candidate(client, lease, identity)
        candidate.task = asyncio.create_task(candidate.lease.hold(candidate.work))
        tasks.append(candidate.task)
        return candidate

    start.name = lease
    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def leads(candidate, seconds=10.0):
    await asyncio.wait_for(candidate.began.wait(), seconds)
    return time.monotonic()


async def lost(candidate, seconds=10.0):
    """Wait until a candidate has lost the Lease; return why."""
    with pytest.raises(LeaseLost) as error:
        await asyncio.wait_for(candidate.task, seconds)
    assert candidate.ended_at is not None
    return str(error.value)


async def spec_of(kube, elect):
    return (await kube.get(LEASE, elect.name, "default"))["spec"]


async def edit(kube, elect, **spec):
    await kube.patch(LEASE, elect.name, {"spec": spec}, "default")


async def test_one_works_and_the_others_wait(kube, elect):
    first = elect("a")
    await leads(first)
    second, third = elect("b"), elect("c")
    await asyncio.sleep(QUICK.duration * 1.5)
    assert not second.began.is_set()
    assert not third.began.is_set()
    spec = await spec_of(kube, elect)
    assert spec["holderIdentity"] == "a"
    assert first.lease.is_held
    assert not second.lease.is_held


async def test_after_a_clean_end_the_next_begins_at_once(kube, elect):
    first = elect("a")
    await leads(first)
    second = elect("b")
    await asyncio.sleep(0.3)
    ended = time.monotonic()
    first.may_end.set()
    await first.task
    assert await leads(second) - ended < QUICK.duration / 2
    spec = await spec_of(kube, elect)
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("b", 1)


async def test_a_renewal_that_the_end_cuts_off_does_not_keep_the_lease_from_the_next(kube, server, elect):
    """It has taken effect, so the Lease is another version than the one who ends knows."""
    async with KubeClient.connect(server.kubeconfig) as slow:
        first = elect("a", slow)
        await leads(first)
        patch, is_renewed = slow.patch, asyncio.Event()

        async def without_an_answer(*args, **kwargs):
            slow.patch = patch
            await patch(*args, **kwargs)
            is_renewed.set()
            await asyncio.Event().wait()

        slow.patch = without_an_answer
        await asyncio.wait_for(is_renewed.wait(), 10)
        first.may_end.set()
        await first.task
        assert (await spec_of(kube, elect))["holderIdentity"] == ""


async def test_work_that_crashes_releases_the_lease_and_says_why(elect):
    first = elect("a")

    async def crash():
        raise RuntimeError("broken")

    first.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first.task
    with pytest.raises(RuntimeError, match="broken"):
        await first.lease.hold(crash)
    began = time.monotonic()
    assert await leads(elect("b")) - began < QUICK.duration / 2


async def test_whoever_vanished_is_waited_for_as_long_as_it_may_still_work(kube, elect, monkeypatch):
    first = elect("a")
    await leads(first)

    async def vanish():
        await asyncio.Event().wait()

    monkeypatch.setattr(first.lease, "_renew", vanish)
    monkeypatch.setattr(first.lease, "_release", lambda: asyncio.sleep(0))
    second = elect("b")
    assert "no answer in time" in await lost(first)
    taken = await leads(second)
    assert taken > first.ended_at
    assert taken - first.ended_at < QUICK.duration + 1


async def test_an_earlier_self_is_not_waited_for(kube, elect):
    """A container that is started again in its Pod has the identity of the one that died."""
    await kube.create(
        LEASE, {"metadata": {"name": elect.name}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 12}}
    )
    began = time.monotonic()
    assert await leads(elect("a")) - began < QUICK.duration / 2


async def test_a_lease_that_somebody_else_holds_now_ends_the_work_at_once(kube, elect):
    first = elect("a")
    await leads(first)
    await edit(kube, elect, holderIdentity="somebody")
    edited = time.monotonic()
    assert await lost(first) == "Its holder is 'somebody' now."
    assert first.ended_at - edited < QUICK.duration / 2
    # Nobody of ours begins before that somebody has been silent for long enough.
    assert await leads(elect("b")) - edited > QUICK.duration


async def test_a_deleted_lease_ends_the_work_before_whoever_waited_begins(kube, elect):
    first = elect("a")
    await leads(first)
    second = elect("b")
    await asyncio.sleep(0.3)
    await kube.delete(LEASE, elect.name, "default")
    assert await lost(first) == "Somebody deleted it."
    assert await leads(second) > first.ended_at


@pytest.mark.parametrize(
    "spec",
    [
        {"holderIdentity": None},
        {"holderIdentity": "", "renewTime": None},
        {"leaseDurationSeconds": 999_999},
        {"acquireTime": None, "leaseTransitions": None, "leaseDurationSeconds": None},
    ],
    ids=lambda spec: ",".join(spec),
)
async def test_a_corrupted_lease_is_mended_while_nobody_else_may_begin(kube, elect, spec):
    first = elect("a")
    await leads(first)
    second = elect("b")
    await asyncio.sleep(0.3)
    await edit(kube, elect, **spec)
    await asyncio.sleep(QUICK.duration * 1.5)
    assert not first.task.done()
    assert not second.began.is_set()
    mended = await spec_of(kube, elect)
    assert (mended["holderIdentity"], mended["leaseDurationSeconds"]) == ("a", round(QUICK.duration))


async def test_a_release_in_our_name_ends_the_work(kube, elect):
    first = elect("a")
    await leads(first)
    await edit(kube, elect, holderIdentity="", leaseDurationSeconds=1)
    assert await lost(first) == "Somebody released it."


async def test_a_label_that_somebody_adds_changes_nothing(kube, elect):
    first = elect("a")
    await leads(first)
    await kube.patch(LEASE, elect.name, {"metadata": {"labels": {"a": "b"}}}, "default")
    await asyncio.sleep(QUICK.deadline * 1.5)
    assert not first.task.done()


@pytest.mark.parametrize(
    "error",
    [Forbidden(403, "Forbidden", "may not patch leases", {}, "patch"), Unreachable("connection refused")],
    ids=["denied", "unreachable"],
)
async def test_whoever_cannot_renew_stops_before_anybody_else_begins(server, kube, elect, monkeypatch, error):
    async with KubeClient.connect(server.kubeconfig) as cut_off:
        first = elect("a", cut_off)
        await leads(first)
        second = elect("b")

        async def refuse(*_args, **_options):
            raise error

        monkeypatch.setattr(cut_off, "request", refuse)
        cut = time.monotonic()
        assert str(error) in await lost(first)
        assert first.ended_at - cut < QUICK.deadline + 5
        assert await leads(second) > first.ended_at


async def test_a_hiccup_is_survived(kube, elect, monkeypatch):
    first = elect("a")
    await leads(first)
    request, failures = kube.request, iter(range(3))

    async def sometimes(*args, **options):
        if next(failures, None) is not None:
            raise Unreachable("connection refused")
        return await request(*args, **options)

    monkeypatch.setattr(kube, "request", sometimes)
    await asyncio.sleep(QUICK.deadline * 1.5)
    assert not first.task.done()


async def test_a_fault_of_ours_ends_the_work(elect, monkeypatch):
    first = elect("a")
    await leads(first)
    monkeypatch.setattr(first.lease, "_renewal", lambda: {}["x"])
    with pytest.raises(KeyError):
        await asyncio.wait_for(first.task, 5)
    assert first.ended_at is not None
