"""The operator as a process: what it writes, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from tests.integration.operator.conftest import a_cluster, eventually


@pytest.fixture
def start(kube, bare_kubeconfig):
    """Start operators for the test's namespace."""

    async def run(*words):
        command = ("-m", "dask_gpu_k8s.operator", "--namespace", kube.namespace, *words)
        environment = {**os.environ, "KUBECONFIG": str(bare_kubeconfig)}
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(sys.executable, *command, env=environment, stderr=pipe)

    return run


async def test_a_graceful_end_and_a_log_for_programs(kube, start):
    process = await start("--log-format", "json")
    await kube.create(DASKCLUSTER, a_cluster("foo", 1))

    async def are_there():
        return len((await kube.list(POD))["items"]) == 2

    await eventually(are_there)
    process.terminate()
    _, said = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    lines = [json.loads(line) for line in said.decode().splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    made = [line for line in lines if "create pod foo-scheduler" in line["message"]]
    assert {(line["kind"], line["namespace"], line["name"]) for line in made} == {
        ("DaskCluster", kube.namespace, "foo")
    }
    assert made[0]["run"] >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--defaults", "/no/such/file"], "The defaults in /no/such/file cannot be read"),
        (["--requests-in-flight", "0"], "0 is not more than 0"),
        (["--kubeconfig", "/no/such/file"], "There is no kubeconfig at /no/such/file."),
    ],
)
async def test_what_is_wrong_with_the_command_line_is_said_in_a_line(start, words, said):
    process = await start(*words)
    _, text = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode in (1, 2)
    assert said in text.decode()
    assert "Traceback" not in text.decode()
