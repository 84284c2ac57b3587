"""Who deletes a cluster and when, what a client that comes back finds, and workers held still or away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.wire import Wire

MATRIX = '''
import asyncio, dask, itertools
from dask_gpu_k8s import CreateMode, KubeCluster
from dask_gpu_k8s.errors import ClusterExists, ClusterNotFound
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.kube.client import KubeClient

FORBIDDEN = {("CREATE_ONLY", True): ClusterExists, ("CONNECT_ONLY", False): ClusterNotFound}


async def is_left(kube, name):
    """Say whether it is still there; afterwards it is not, since it would cost the others time."""
    found = await kube.list(DASKCLUSTER, NAMESPACE)
    is_there = name in [each["metadata"]["name"] for each in found["items"]]
    if is_there:
        await kube.delete(DASKCLUSTER, name, NAMESPACE)
    return is_there


async def one(kube, number, mode, argument, configured, exists):
    name = f"c{number}"
    said = {"name": name, "create_mode": mode, "shutdown_on_close": argument, "asynchronous": True}
    if exists:
        async with KubeCluster(name=name, asynchronous=True, shutdown_on_close=False):
            pass
    error = FORBIDDEN.get((mode, exists))
    try:
        async with KubeCluster(**said):
            pass
    except ValueError as raised:
        assert type(raised) is error, (mode, exists, raised)
        assert await is_left(kube, name) == exists
        return "refused"
    assert error is None, (mode, exists)
    deleted = not await is_left(kube, name)
    creator = not exists
    expected = argument if argument is not None else creator and configured is not False
    assert deleted == expected, (mode, argument, configured, exists)
    return "deleted" if deleted else "kept"


async def main():
    limit = asyncio.Semaphore(4)

    async def limited(*case):
        async with limit:
            return await one(*case)

    async with KubeClient.connect() as kube:
        done = []
        for configured in (None, True, False):
            # Dask's configuration is one for the process.
            with dask.config.set({"kubernetes.shutdown-on-close": configured}):
                cases = itertools.product(CreateMode, (None, True, False), (configured,), (True, False))
                numbered = [(kube, f"{configured}{n}".lower(), mode.value, *rest)
                            for n, (mode, *rest) in enumerate(cases)]
                done += await asyncio.gather(*(limited(*case) for case in numbered))
    print(len(done), *sorted({(each, done.count(each)) for each in done}))


import os
NAMESPACE = os.environ["DASK_KUBERNETES__NAMESPACE"]
asyncio.run(main())
'''


@pytest.mark.long
@pytest.mark.timeout(600)
def test_row_07_all_create_modes_flags_and_configurations_only_the_creator_deletes(kubernetes):
    done = kubernetes.python(MATRIX, timeout=580)
    assert done.stdout.split("\n")[0].startswith("54 ")
    assert "Traceback" not in done.stderr


RUN = """
from dask_gpu_k8s import KubeCluster
cluster = KubeCluster(name="leaving")
"""
ASYNC = """
import asyncio
from dask_gpu_k8s import KubeCluster

async def main():
    cluster = await KubeCluster(name="leaving", asynchronous=True)
    {last}

asyncio.run(main())
"""
# A notebook's kernel runs cells within its loop; when it is shut down, the loop is stopped and never closed.
NOTEBOOK = """
import asyncio

CELL = '''
from dask_gpu_k8s import KubeCluster
{cell}
'''

async def kernel():
    code = compile(CELL, "cell", "exec", flags=__import__("ast").PyCF_ALLOW_TOP_LEVEL_AWAIT)
    ran = eval(code, globals())
    if ran is not None:
        await ran
    {last}
    asyncio.get_running_loop().stop()

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
task = loop.create_task(kernel())
loop.run_forever()
"""
SYNC_CELL = 'cluster = KubeCluster(name="leaving")'
ASYNC_CELL = 'cluster = await KubeCluster(name="leaving", asynchronous=True)'
READY = 'print("ready", flush=True); input()'
ENDS = {
    "end of script": (RUN + READY, 0),
    "exception": (RUN + READY + "; raise RuntimeError('stop here')", 1),
    "sys.exit": (RUN + READY + "; raise SystemExit(3)", 3),
    "asyncio.run": (ASYNC.format(last=READY), 0),
    "exception in asyncio.run": (ASYNC.format(last=READY + "; raise RuntimeError('stop here')"), 1),
    "notebook": (NOTEBOOK.format(cell=SYNC_CELL, last=READY), 0),
    "notebook with await": (NOTEBOOK.format(cell=ASYNC_CELL, last=READY), 0),
}
SIGTERM = {
    "script": ENDS["end of script"][0],
    "async": ENDS["asyncio.run"][0],
    "notebook": ENDS["notebook"][0],
}


def leave(program, environment, how=None) -> subprocess.CompletedProcess[str]:
    """Run a program until it is ready, have it leave, and give it 10 s for that."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        if how is not None:
            how(process)
        try:
            out, errors = process.communicate("\n", timeout=10)
        finally:
            process.kill()
    return subprocess.CompletedProcess(program, process.returncode, out, errors)


def clusters(kubernetes) -> list[str]:
    return kubernetes.kubectl("get", "daskclusters", "-o", "name").split()


@pytest.mark.parametrize("how", ENDS)
def test_row_12_leaving_takes_the_cluster_along_without_a_traceback(kubernetes, how):
    program, code = ENDS[how]
    done = leave(program, kubernetes.environment)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("Traceback") == ("RuntimeError" in program), done.stderr
    assert clusters(kubernetes) == []


@pytest.mark.parametrize("where", SIGTERM)
def test_row_12_sigterm_takes_the_cluster_along(kubernetes, where):
    done = leave(SIGTERM[where], kubernetes.environment, subprocess.Popen.terminate)
    assert done.returncode == -signal.SIGTERM
    assert "Traceback" not in done.stderr, done.stderr
    assert clusters(kubernetes) == []


@pytest.mark.parametrize("where", ["end of script", "asyncio.run", "notebook"])
def test_row_12_leaving_takes_no_longer_where_the_api_server_does_not_answer(kubernetes, tmp_path, where):
    with Wire(kubernetes.kubeconfig, tmp_path) as wire:
        environment = {**kubernetes.environment, "KUBECONFIG": str(wire.kubeconfig)}
        done = leave(ENDS[where][0], environment, lambda process: wire.pause())
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "Could not delete DaskCluster" in done.stderr
    assert clusters(kubernetes) == ["daskcluster.kubernetes.dask.org/leaving"], "nobody could know"


TTL = 10

HOLDING = """
import sys, time
from dask_gpu_k8s import KubeCluster

start = time.monotonic()
cluster = eval(sys.argv[1])
assert cluster.ttl == 10
while time.monotonic() < start + 13:
    time.sleep(0.1)
print("alive", flush=True)
time.sleep(600)
"""


def test_row_13_kill_9_and_the_cluster_is_gone_within_its_ttl_and_10_s(kubernetes):
    """The last of two clients counts, and what is left of a killed one is nothing."""

    def holding(how) -> subprocess.Popen[str]:
        program = [sys.executable, "-c", HOLDING, how]
        return subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=kubernetes.environment)

    with holding("KubeCluster(name='killed', ttl=10)") as first:
        assert first.stdout.readline() == "alive\n"
        second = holding("KubeCluster.from_name('killed')")
        assert second.stdout.readline() == "alive\n"
        first.kill()
    with second:
        time.sleep(TTL + 3)  # nothing is to happen
        kubernetes.kubectl("get", "daskcluster", "killed")
        second.kill()
        ended = time.monotonic()
        kubernetes.kubectl("wait", "--for=delete", "daskcluster/killed", f"--timeout={TTL + 10}s")
        assert time.monotonic() - ended < TTL + 10
    kubernetes.kubectl("wait", "--for=delete", "lease/killed-client", "--timeout=20s")


ASLEEP = """
import logging
from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.errors import ClusterNotFound

logging.basicConfig(format="%(message)s")
cluster = KubeCluster(name="asleep", ttl=10)
print("ready", flush=True)
input()
for call in (lambda: cluster.scale(1), lambda: cluster.adapt(maximum=1), cluster.suspend, cluster.get_logs):
    try:
        call()
    except ClusterNotFound as error:
        print(error)
cluster.close()
"""


def test_row_13_a_client_that_slept_too_long_says_so(kubernetes):
    def sleep(process) -> None:
        kubernetes.kubectl("wait", "--for=condition=Ready", "daskcluster/asleep", "--timeout=60s")
        os.kill(process.pid, signal.SIGSTOP)
        kubernetes.kubectl("wait", "--for=delete", "daskcluster/asleep", "--timeout=60s")
        os.kill(process.pid, signal.SIGCONT)

    done = leave(ASLEEP, kubernetes.environment, sleep)
    where = f"DaskCluster {kubernetes.namespace}/asleep"
    assert done.returncode == 0, done.stderr
    assert [line.startswith(f"{where}: it ") for line in done.stdout.splitlines()] == [True] * 4, done.stdout
    assert "Traceback" not in done.stderr


ROUND_TRIP = """
from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.cluster.settings import ARGUMENTS

OWN = ("create_mode", "shutdown_on_close", "custom_cluster_spec")  # how this client came to it

with KubeCluster(
    name="again", n_workers=1, ttl=300, idle_timeout=3600, env={"A": "1"},
    worker_command="dask worker --nthreads 1", resources={"limits": {"memory": "512Mi"}},
    scheduler_resources={"requests": {"cpu": "100m"}},
    worker_options={"labels": {"team": "blue"}, "node_selector": {"kubernetes.io/os": "linux"}},
    scheduler_options={"annotations": {"note": "x"}, "overlay": {"spec": {"priority": 0}}},
) as first:
    first.add_worker_group("more", n_workers=0)
    first.adapt(minimum=1, maximum=2)
    first.adapt(minimum=0, maximum=3, worker_group="more")
    first.wait_for_workers(1)
    with KubeCluster.from_name("again") as second:
        for name in ARGUMENTS:
            assert name in OWN or getattr(first, name) == getattr(second, name), name
        assert first.worker_groups() == second.worker_groups()
        print(second.worker_groups())
        second.scale(0, worker_group="more")
        print(first.worker_groups()["more"])
"""


def test_row_58_from_name_finds_settings_groups_and_adaptivity_again(kubernetes):
    done = kubernetes.python(ROUND_TRIP)
    assert done.stdout == (
        "{'default': WorkerGroup(n_workers=1, adaptivity=Adaptivity(minimum=1, maximum=2)), "
        "'more': WorkerGroup(n_workers=0, adaptivity=Adaptivity(minimum=0, maximum=3))}\n"
        "WorkerGroup(n_workers=0, adaptivity=None)\n"
    )


FROZEN = '''
import asyncio, sys, time
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster


def workers():
    """Ask the scheduler itself: the cluster object hears of it a moment later."""
    return sorted(each["name"] for each in client.scheduler_info()["workers"].values())


with KubeCluster(name="still", n_workers=3, worker_command="dask worker --nthreads 1") as cluster:
    with Client(cluster) as client:
        client.wait_for_workers(3, timeout=90)
        cluster.scale(2)
        with cluster.frozen():
            fixed = workers()
            assert len(fixed) == 2, "who was on the way out is gone"
            cluster.scale(4)
            with KubeCluster.from_name("still", quiet=True) as other, other.frozen():
                other.adapt(minimum=0, maximum=1)
            assert client.gather(client.map(lambda n: time.sleep(2), range(4), pure=False)) == [None] * 4
            assert workers() == fixed
            cluster.scale(3)  # Before they thaw, since one alone is what `adapt` would leave.
        client.wait_for_workers(3, timeout=90)
        assert set(fixed) < set(workers())
        print("thawed")
'''


def test_frozen_workers_neither_come_nor_go_whoever_asks(kubernetes):
    done = kubernetes.python(FROZEN)
    assert done.stdout == "thawed\n"


SUSPENDED = """
import subprocess, sys
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

KUBECTL = sys.argv[1:]
GPU = {"limits": {"nvidia.com/gpu": "1"}}

with KubeCluster(name="resting", n_workers=1, resources=GPU, idle_timeout=3600) as cluster:
    with Client(cluster) as client:
        total = client.submit(sum, [1, 2, 3])
        assert total.result(timeout=90) == 6
        cluster.suspend()
        suspended = ["wait", "--for=condition=Suspended", "daskcluster/resting", "--timeout=60s"]
        subprocess.run([*KUBECTL, *suspended], check=True)
        workers = [*KUBECTL, "get", "pods", "-l", "dask.org/component=worker", "-o", "name"]
        assert subprocess.run(workers, capture_output=True, text=True).stdout == "", "their GPUs are free"
        assert client.nthreads() == {}
        cluster.resume()
        assert total.result(timeout=90) == 6
        print("resumed")
"""


def test_suspended_workers_give_their_gpus_back_and_results_are_there_again(kubernetes):
    done = kubernetes.python(SUSPENDED, *kubernetes.command())
    assert done.stdout.endswith("resumed\n")
