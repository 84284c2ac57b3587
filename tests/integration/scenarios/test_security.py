"""Clusters that speak TLS: who has their certificates gets in, and nobody else."""

from __future__ import annotations

IMAGE = "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12"

SECURE = f"""
from dask_gpu_k8s import KubeCluster
from dask.distributed import Client

cluster = KubeCluster(name="safe", image="{IMAGE}", n_workers=1, security=True, quiet=True)
"""


def test_row_39_security_true_is_all_it_takes(kubernetes):
    """The client is set by itself, here and where the cluster is found by name; everything speaks TLS."""
    program = (
        SECURE
        + """
assert cluster.scheduler_address.startswith("tls://127.0.0.1:"), cluster.scheduler_address
with Client(cluster) as client:
    client.wait_for_workers(1, timeout=60)
    assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6
    workers = client.scheduler_info()["workers"]
    assert all(address.startswith("tls://") for address in workers), list(workers)
    assert all(worker["nanny"].startswith("tls://") for worker in workers.values())
with KubeCluster.from_name("safe", quiet=True) as again, Client(again) as client:
    assert client.submit(max, [1, 5]).result(timeout=30) == 5
cluster.close()
"""
    )
    done = kubernetes.python(program)
    assert "Traceback" not in done.stderr, done.stderr
    kubernetes.kubectl("wait", "--for=delete", "secret/safe-tls", "--timeout=30s")
