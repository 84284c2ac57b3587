"""The page's Python text, as written, and every way of leaving it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

CREATE = """
from dask_gpu_k8s import KubeCluster

cluster = KubeCluster(
    name="rapids-dask",
    image="nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12",
    n_workers=3,
    resources={"limits": {"nvidia.com/gpu": "1"}},
    worker_command="dask-cuda-worker",
)
"""

USE = """
from dask.distributed import Client

client = Client(cluster)
assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6
"""


def clusters(kubernetes) -> list[str]:
    return kubernetes.kubectl("get", "daskclusters", "-o", "name").split()


def pods(kubernetes) -> list[str]:
    return kubernetes.kubectl("get", "pods", "-o", "name").split()


def test_create_connect_scale_find_again_and_close(kubernetes):
    """The page from its first line to its last, with a second process that finds the cluster by name."""
    program = f"""
import subprocess, sys
{CREATE}
{USE}
client.wait_for_workers(3, timeout=60)
cluster.scale(5)
client.wait_for_workers(5, timeout=60)
second = '''
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

cluster = KubeCluster.from_name(name="rapids-dask")
with Client(cluster) as client:
    assert client.submit(max, [1, 5, 3]).result(timeout=30) == 5
    assert len(client.scheduler_info(**({{"n_workers": -1}} if "n_workers" in
        __import__("inspect").signature(client.scheduler_info).parameters else {{}}))["workers"]) == 5
cluster.close()
'''
subprocess.run([sys.executable, "-c", second], check=True)
assert client.submit(min, [4, 2]).result(timeout=30) == 2, "the second process left the cluster alone"
client.close()
cluster.close()
"""
    done = kubernetes.python(program)
    assert "Traceback" not in done.stderr
    assert clusters(kubernetes) == []
    kubernetes.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=60s")


def test_the_same_resource_as_the_page_shows(kubernetes):
    """What `kubectl get` prints of the cluster made from Python has the names of the page's listing."""
    program = f"""
import subprocess, sys
{CREATE}
{USE}
client.wait_for_workers(3, timeout=60)
print(subprocess.run(sys.argv[1:], check=True, capture_output=True, text=True).stdout)
client.close()
cluster.close()
"""
    listing = kubernetes.python(
        program, *kubernetes.command("get", "all", "-l", "dask.org/cluster-name=rapids-dask", "-o", "name")
    ).stdout.split()
    workers = [name for name in listing if name.startswith("pod/rapids-dask-default-worker-group-worker-")]
    assert len(workers) == 3
    assert {name.rpartition("-")[2].isalnum() and len(name.rpartition("-")[2]) for name in workers} == {10}
    assert sorted(set(listing) - set(workers)) == [
        "pod/rapids-dask-scheduler",
        "service/rapids-dask-scheduler",
        "service/rapids-dask-service",
    ]


def test_pipeline_of_three_processes(kubernetes):
    """The first stage leaves the cluster, the second uses it, the last one says that it goes."""
    first = CREATE.replace('"dask-cuda-worker",', '"dask-cuda-worker",\n    shutdown_on_close=False,')
    stage = (
        USE + "client.publish_dataset(stage=client.submit(sum, [1, 2]))\nclient.close()\ncluster.close()\n"
    )
    kubernetes.python(first + stage)
    assert clusters(kubernetes) == ["daskcluster.kubernetes.dask.org/rapids-dask"]

    again = CREATE + USE + "assert client.get_dataset('stage').result(timeout=30) == 3\n"
    kubernetes.python(again)  # connects to what is there; only connected, so it leaves it
    assert clusters(kubernetes) == ["daskcluster.kubernetes.dask.org/rapids-dask"]

    last = (
        "from dask_gpu_k8s import KubeCluster\n"
        'cluster = KubeCluster.from_name("rapids-dask", shutdown_on_close=True)\n'
        + USE
        + "client.close()\ncluster.close()\n"
    )
    kubernetes.python(last)
    assert clusters(kubernetes) == []


ENDS = {
    "end of script": ("", 0),
    "exception": ("raise RuntimeError('stop here')", 1),
    "sys.exit": ("import sys; sys.exit(3)", 3),
}


@pytest.mark.parametrize("how", ENDS)
def test_leaving_deletes_the_cluster(kubernetes, how):
    last_line, code = ENDS[how]
    done = kubernetes.python(CREATE + USE + last_line, check=False)
    assert done.returncode == code, done.stderr
    traces = done.stderr.count("Traceback")
    assert traces == (1 if how == "exception" else 0), done.stderr
    assert clusters(kubernetes) == []


def test_leaving_with_shutdown_on_close_false_keeps_it(kubernetes):
    kept = CREATE.replace('"dask-cuda-worker",', '"dask-cuda-worker",\n    shutdown_on_close=False,')
    done = kubernetes.python(kept + USE)
    assert "Traceback" not in done.stderr
    assert clusters(kubernetes) == ["daskcluster.kubernetes.dask.org/rapids-dask"]


def terminated(kubernetes, program: str) -> int:
    """Send SIGTERM to a program once it has said that it is ready; return the code by which it left."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kubernetes.environment,
    )
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors, errors
    return process.returncode


def test_leaving_by_sigterm(kubernetes):
    """The cluster goes, there is no traceback, and the process still dies by SIGTERM."""
    program = CREATE + USE + "print('ready', flush=True)\nimport signal\nsignal.pause()\n"
    assert terminated(kubernetes, program) == -signal.SIGTERM
    assert clusters(kubernetes) == []


def test_sigterm_handler_of_the_user_stays(kubernetes):
    """A handler that the program installed itself is not replaced; its way of leaving deletes the cluster."""
    program = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        + CREATE
        + "print('ready', flush=True)\nwhile True:\n    signal.pause()\n"
    )
    assert terminated(kubernetes, program) == 7
    assert clusters(kubernetes) == []


OWN_LOOP = """
import asyncio, threading
from tornado.ioloop import IOLoop

loop, started = None, threading.Event()

def run():
    global loop
    asyncio.set_event_loop(asyncio.new_event_loop())
    loop = IOLoop.current()
    loop.add_callback(started.set)
    loop.start()

threading.Thread(target=run, daemon=True).start()
started.wait()
"""


def test_leaving_in_a_loop_of_the_users_own(kubernetes):
    """The cluster runs in the loop it was handed, and goes at the end of the script all the same."""
    own = CREATE.replace('"dask-cuda-worker",', '"dask-cuda-worker",\n    loop=loop,')
    done = kubernetes.python(OWN_LOOP + own + USE + "assert cluster.loop is loop\n")
    assert "Traceback" not in done.stderr, done.stderr
    assert clusters(kubernetes) == []


ASYNC = """
import asyncio, sys
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

async def main():
    cluster = await KubeCluster(
        name="rapids-dask",
        image="nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12",
        n_workers=1,
        resources={"limits": {"nvidia.com/gpu": "1"}},
        worker_command="dask-cuda-worker",
        asynchronous=True,
    )
    client = await Client(cluster, asynchronous=True)
    assert await client.submit(sum, [1, 2, 3]) == 6
    LAST

asyncio.run(main())
"""


def test_sys_exit_in_an_async_main(kubernetes):
    done = kubernetes.python(ASYNC.replace("LAST", "sys.exit(4)"), check=False)
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert clusters(kubernetes) == []


def test_async_with_closes(kubernetes):
    program = """
import asyncio
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

async def main():
    async with KubeCluster(name="rapids-dask", n_workers=1, asynchronous=True) as cluster:
        async with Client(cluster, asynchronous=True) as client:
            cluster.scale(2)  # acts though nobody awaits it
            await client.wait_for_workers(2, timeout=60)
            assert await client.submit(sum, [1, 2, 3]) == 6

asyncio.run(main())
"""
    done = kubernetes.python(program)
    assert "Traceback" not in done.stderr, done.stderr
    assert clusters(kubernetes) == []
