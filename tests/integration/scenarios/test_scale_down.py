"""Scaling down retires first: no data lost, nothing computed twice, no worker of another group touched."""

from __future__ import annotations

SCALE_DOWN = """
import subprocess, sys
from dask.distributed import Client, get_worker, wait
from dask_gpu_k8s import KubeCluster


def make(i):
    get_worker().log_event("made", i)
    return bytes([i]) * 10_000


def runs(client):
    return sorted(number for _, number in client.get_events("made"))


KUBECTL = sys.argv[1:]


def scaled_down(group, replicas):
    for what in (f"jsonpath={{.status.desiredReplicas}}={replicas}", "condition=ScalingDown=False"):
        words = ["wait", f"--for={what}", f"daskworkergroup/{group}", "--timeout=60s"]
        subprocess.run([*KUBECTL, *words], check=True)


with KubeCluster(name="shrinking", n_workers=5) as cluster:
    cluster.add_worker_group("other", n_workers=2)
    with Client(cluster) as client:
        client.wait_for_workers(7, timeout=90)
        addresses = client.run(lambda dask_worker: dask_worker.name)
        mine = [address for address, name in addresses.items() if "-default-" in name]
        others = [address for address, name in addresses.items() if "-other-" in name]
        assert (len(mine), len(others)) == (5, 2), addresses
        futures = [client.submit(make, i, workers=[mine[i % 5]], pure=False) for i in range(40)]
        wait(futures)
        before = client.has_what()
        assert all(before[address] for address in mine), "there is data on every worker of the group"

        cluster.scale(2)
        scaled_down("shrinking-default", 2)
        left = client.run(lambda dask_worker: dask_worker.name)
        assert set(others) <= set(left), "a worker of another group was touched"
        assert sum("-default-" in name for name in left.values()) == 2
        assert [value[0] for value in client.gather(futures)] == list(range(40))
        assert runs(client) == list(range(40)), "a result was computed again"
        print("moved", len(futures))
"""


def test_scale_5_to_2_with_data_on_every_worker(kubernetes):
    done = kubernetes.python(SCALE_DOWN, *kubernetes.command(), timeout=110)
    assert "moved 40" in done.stdout
    assert "Traceback" not in done.stderr


SCALE_TO_ZERO = """
import subprocess, sys
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

with KubeCluster(name="shrinking", n_workers=2) as cluster, Client(cluster) as client:
    client.wait_for_workers(2, timeout=90)
    data = client.scatter([1, 2, 3])
    cluster.scale(0)
    for what in ("jsonpath={.status.desiredReplicas}=0", "condition=ScalingDown=False"):
        words = ["wait", f"--for={what}", "daskworkergroup/shrinking-default", "--timeout=60s"]
        subprocess.run([*sys.argv[1:], *words], check=True)
    assert client.nthreads() == {}, "the scheduler stays and has no worker"
    cluster.scale(1)
    client.wait_for_workers(1, timeout=90)
    assert client.submit(sum, [4, 5]).result(timeout=30) == 9
"""


def test_scale_to_zero_and_back(kubernetes):
    """Zero is an explicit wish: it is reached, though the last worker's data has nowhere to go."""
    kubernetes.python(SCALE_TO_ZERO, *kubernetes.command(), timeout=110)
