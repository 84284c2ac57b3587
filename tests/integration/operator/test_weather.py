"""The operator where its API server is slow, deaf, strict or forgetful."""

from __future__ import annotations

import contextlib
import sys
import time

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.limits import Limits
from dask_gpu_k8s.kube.streams import SILENCE_SECONDS
from tests.integration.gate import gate_to
from tests.integration.operator.conftest import a_cluster, eventually, running

TELL = """
import json, pathlib, sys
token = pathlib.Path(sys.argv[1]).read_text()
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": token}}))
"""


@contextlib.asynccontextmanager
async def through(kube, bare_kubeconfig, user=None):
    """Open a gate and a client that goes through it."""
    async with gate_to(bare_kubeconfig) as (gate, make):
        async with KubeClient.connect(make(user)) as behind:
            behind.namespace = kube.namespace
            yield gate, behind


async def workers(kube):
    return (await kube.list(POD, labels={labels.COMPONENT: labels.WORKER}, limit=0))["items"]


async def until_workers(kube, count, seconds=15.0):
    async def check():
        return len(await workers(kube)) == count

    return await eventually(check, seconds)


async def scale(kube, replicas):
    await kube.patch(DASKCLUSTER, "foo", {"spec": {"replicas": replicas}}, sub="scale")


@pytest.fixture(params=["token file", "plug-in"])
def rotated(request, tmp_path):
    """A token that somebody rotates, and a user of a kubeconfig who shows it."""
    path = tmp_path / "token"
    path.write_text("one")
    if request.param == "token file":
        return path, {"tokenFile": str(path)}
    command = {"command": sys.executable, "args": ["-c", TELL, str(path)]}
    return path, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **command}}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_row_8_actions_resume_in_less_than_60_s_after_the_token_expired(kube, bare_kubeconfig, rotated):
    path, user = rotated
    async with through(kube, bare_kubeconfig, user) as (gate, behind):
        gate.tokens = {"one"}
        async with running(behind) as operator:
            await kube.create(DASKCLUSTER, a_cluster("foo", 1))
            await until_workers(kube, 1)
            gate.revoke()
            await scale(kube, 3)
            await eventually(lambda: _refused(gate, 5))
            path.write_text("two")
            gate.tokens = {"two"}
            await until_workers(kube, 3, seconds=60.0)
            assert operator.following.stalled() == []


async def _refused(gate, count):
    return gate.answers[401] >= count


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_row_8_a_token_that_is_there_is_taken_at_the_first_refusal(kube, bare_kubeconfig, rotated):
    path, user = rotated
    async with through(kube, bare_kubeconfig, user) as (gate, behind):
        gate.tokens = {"one"}
        async with running(behind) as operator:
            await kube.create(DASKCLUSTER, a_cluster("foo", 1))
            await until_workers(kube, 1)
            path.write_text("two")
            gate.tokens = {"two"}
            await scale(kube, 30)
            await until_workers(kube, 30)
            assert operator.controller.counts.errors == 0


@pytest.mark.parametrize("kind", ["daskclusters", "daskworkergroups"])
@pytest.mark.parametrize("accepts", [True, False], ids=["silent", "not even accepted"])
async def test_row_9_a_black_holed_watch_is_made_up_for_in_3_minutes(kube, bare_kubeconfig, kind, accepts):
    """At a fifth of the operator's times."""
    limits = {"watch_silence": SILENCE_SECONDS / 5, "watch_stall_limit": 36.0}
    async with through(kube, bare_kubeconfig) as (gate, behind), running(behind, **limits) as operator:
        await kube.create(DASKCLUSTER, a_cluster("foo", 1))
        await until_workers(kube, 1)
        gate.black_hole, gate.accepts = {kind}, accepts
        began = time.monotonic()
        await scale(kube, 3)
        await until_workers(kube, 3, seconds=36.0)
        assert time.monotonic() - began > 0.2, "the watch was not dead"
        assert operator.following.stalled() == []


async def test_row_9_health_fails_while_nothing_is_heard_and_recovers(kube, bare_kubeconfig):
    limits = {"watch_silence": 0.5, "watch_stall_limit": 1.5}
    async with through(kube, bare_kubeconfig) as (gate, behind), running(behind, **limits) as operator:
        await eventually(lambda: _is(operator.following.unsynced, []))
        gate.revoke()
        await eventually(lambda: _is(operator.following.stalled, operator_kinds(operator)), 10.0)
        gate.tokens = {"t"}
        await eventually(lambda: _is(operator.following.stalled, []), 15.0)


def operator_kinds(operator):
    return sorted({kind.plural for kind, _ in operator.following.reflectors})


async def _is(look, wanted):
    return look() == wanted


async def test_row_43_500_pods_without_a_storm_of_429(kube, bare_kubeconfig):
    async with through(kube, bare_kubeconfig) as (gate, behind), running(behind):
        gate.rate = 100
        await kube.create(DASKCLUSTER, a_cluster("foo", 500))
        await until_workers(kube, 500, seconds=60.0)
        assert gate.most <= 50
        assert gate.answers[429] <= 150, "one in five at the worst"


async def test_row_43_never_more_than_the_cap_is_in_flight(kube, bare_kubeconfig):
    async with through(kube, bare_kubeconfig) as (gate, behind):
        behind.limits = Limits(in_flight=7)
        async with running(behind):
            await kube.create(DASKCLUSTER, a_cluster("foo", 100))
            await until_workers(kube, 100, seconds=30.0)
        assert gate.most == 7


async def test_row_43_a_rate_may_be_set(kube, bare_kubeconfig):
    async with through(kube, bare_kubeconfig) as (gate, behind):
        behind.limits = Limits(rate=50)
        began = time.monotonic()
        async with running(behind):
            await kube.create(DASKCLUSTER, a_cluster("foo", 100))
            await until_workers(kube, 100, seconds=30.0)
        assert len(gate.asked) / (time.monotonic() - began) <= 55
