"""Clusters that end by themselves: nobody has work for them, or nobody wants them any more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

WORK = """
import subprocess, sys, time
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

KUBECTL = sys.argv[1:]
TIMEOUT = 8

with KubeCluster(name="resting", n_workers=1, idle_timeout=TIMEOUT) as cluster, Client(cluster) as client:
    # Work that waits for a worker is work: a worker's Pod may run for longer than that before it registers.
    held = client.submit(lambda: 1)
    assert held.result(timeout=90) == 1
    start = time.monotonic()
    while time.monotonic() < start + 2 * TIMEOUT:
        assert client.submit(time.sleep, 0.01, pure=False).result(timeout=20) is None
        time.sleep(0.7)  # never without work for the timeout, and hardly ever at work
    subprocess.run([*KUBECTL, "get", "daskcluster", "resting"], check=True)
    # A client that is connected and a result that it holds are no work, unless the user says so.
    subprocess.run([*KUBECTL, "wait", "--for=delete", "daskcluster/resting", "--timeout=30s"], check=True)
    print("went")
"""


def test_row_04_a_cluster_goes_when_it_was_without_work_for_its_timeout(kubernetes):
    done = kubernetes.python(WORK, *kubernetes.command(), timeout=150)
    assert "went" in done.stdout
    told = kubernetes.kubectl("get", "events", "--field-selector=reason=IdleTimeout", "-o", "json")
    (event,) = json.loads(told)["items"]
    assert event["message"] == "There was no work for 8 s (spec.idleTimeout), so the cluster is deleted."
    kubernetes.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=40s")


TTL = 10

RENEW = """
import asyncio, datetime, itertools, os
from dask_gpu_k8s import make_cluster_spec
from dask_gpu_k8s.api.resources import DASKCLUSTER, LEASE
from dask_gpu_k8s.kube.client import KubeClient


async def main():
    async with KubeClient.connect() as kube:
        kube.namespace = os.environ["DASK_KUBERNETES__NAMESPACE"]
        spec = make_cluster_spec("leased", n_workers=0)
        spec["spec"]["ttl"] = 10
        cluster = await kube.create(DASKCLUSTER, spec)
        owner = {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster", "name": "leased"}
        owner["uid"] = cluster["metadata"]["uid"]
        meta = {"name": "leased-client", "ownerReferences": [owner]}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}
        await kube.create(LEASE, lease)
        for number in itertools.count(1):
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            await kube.patch(LEASE, "leased-client", {"spec": {"renewTime": now}})
            print(number, flush=True)
            await asyncio.sleep(1)


asyncio.run(main())
"""


def test_row_13_a_cluster_goes_within_its_ttl_and_10_s_of_the_last_renewal(kubernetes):
    with subprocess.Popen(
        [sys.executable, "-c", RENEW], stdout=subprocess.PIPE, text=True, env=kubernetes.environment
    ) as client:
        assert client.stdout is not None
        for line in client.stdout:
            if int(line) > TTL + 3:
                break
        kubernetes.kubectl("get", "daskcluster", "leased")
        client.send_signal(signal.SIGKILL)
        ended = time.monotonic()
    kubernetes.kubectl("wait", "--for=delete", "daskcluster/leased", f"--timeout={TTL + 10}s")
    assert time.monotonic() - ended < TTL + 10
    told = kubernetes.kubectl("get", "events", "--field-selector=reason=NotRenewed", "-o", "json")
    (event,) = json.loads(told)["items"]
    assert event["message"].startswith("No client has renewed Lease 'leased-client' for 10 s (spec.ttl)")
    kubernetes.kubectl("wait", "--for=delete", "lease/leased-client", "--timeout=20s")
