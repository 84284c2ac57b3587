"""Row 39, clusters that speak TLS: who has their certificates gets in, and nobody else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from dask_gpu_k8s.operator.security.renewal import issue
from tests.conftest import Kubernetes, namespace_in

IMAGE = "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12"

CREATE = f"""
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

config = {{"name": "config", "configMap": {{"name": "config-of-the-image"}}}}
cluster = KubeCluster(
    name="safe",
    image="{IMAGE}",
    n_workers=2,
    security=True,
    env={{"DASK_CONFIG": "/config-of-the-image"}},
    scheduler_options={{
        "volumes": [config], "volume_mounts": [{{"name": "config", "mountPath": "/config-of-the-image"}}],
    }},
    quiet=True,
    shutdown_on_close=False,
)
with Client(cluster) as client:
    client.wait_for_workers(2, timeout=60)
"""

OPEN = """
distributed:
  scheduler:
    http:
      routes:
        - distributed.http.scheduler.api
        - distributed.http.health
        - distributed.http.proxy
"""

FIND = """
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

cluster = KubeCluster.from_name("safe", quiet=True)
"""


@pytest.fixture(scope="module")
def secured(dask_cluster) -> Iterator[Kubernetes]:
    """Give a cluster of two workers that speaks TLS, from an image that opens its HTTP port wide."""
    with namespace_in(dask_cluster) as kubernetes:
        kubernetes.kubectl("create", "configmap", "config-of-the-image", f"--from-literal=dask.yaml={OPEN}")
        kubernetes.python(CREATE)
        yield kubernetes
        kubernetes.kubectl("delete", "daskcluster", "safe")
        kubernetes.kubectl("wait", "--for=delete", "secret/safe-tls", "--timeout=30s")


def secret_of(kubernetes, name: str = "safe-tls") -> dict[str, str]:
    return json.loads(kubernetes.kubectl("get", "secret", name, "-o", "json"))["data"]


def test_row_39_a_client_is_set_by_itself(secured):
    """All addresses are tls://, of scheduler, workers and nannies, and nobody tells the client anything."""
    program = (
        FIND
        + """
assert cluster.scheduler_address.startswith("tls://"), cluster.scheduler_address
with Client(cluster) as client:
    assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6
    workers = client.scheduler_info()["workers"]
    assert len(workers) == 2 and all(address.startswith("tls://") for address in workers), list(workers)
    assert all(worker["nanny"].startswith("tls://") for worker in workers.values())
"""
    )
    secured.python(program)
    secured.kubectl("wait", "--for=condition=Secured", "daskcluster/safe", "--timeout=10s")
    address = secured.kubectl("get", "daskcluster", "safe", "-o", "jsonpath={.status.schedulerAddress}")
    assert address == f"tls://safe-scheduler.{secured.namespace}.svc:8786"


REFUSED = {
    "plain": ("tcp://", "None", "OSError"),
    "without certificates": ("tls://", "None", "TypeError"),
    "with certificates of others": ("tls://", "Security.temporary()", "OSError"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_row_39_a_client_without_the_certificates_is_refused(secured, how):
    scheme, security, error = REFUSED[how]
    program = (
        FIND
        + f"""
from distributed.security import Security

address = cluster.scheduler_address.replace("tls://", "{scheme}")
try:
    Client(address, security={security}, timeout=5)
except {error} as error:
    print("refused:", error)
else:
    raise SystemExit("it got in")
"""
    )
    assert "refused: " in secured.python(program).stdout


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_row_39_a_worker_without_the_certificates_is_refused(secured, scheme):
    """It ends without having been registered, and the two that belong there stay."""
    program = (
        FIND
        + f"""
import subprocess, sys
from distributed.security import Security

address = cluster.scheduler_address.replace("tls://", "{scheme}://")
text = '''
import asyncio, sys
from distributed import Worker
from distributed.security import Security

async def main():
    async with Worker(sys.argv[1], security=Security.temporary(), death_timeout=3, name="stranger"):
        pass

asyncio.run(main())
'''
with Client(cluster) as client:
    done = subprocess.run([sys.executable, "-c", text, address], capture_output=True, timeout=60)
    assert done.returncode, done.stdout
    names = {{worker["name"] for worker in client.scheduler_info()["workers"].values()}}
    assert len(names) == 2 and "stranger" not in names, names
"""
    )
    secured.python(program)


def test_row_39_nobody_changes_anything_by_the_http_port(secured):
    """It shows what it is for, to probes above all; what could change something is not there."""
    program = (
        FIND
        + """
import urllib.error, urllib.request

base = cluster.dashboard_link.removesuffix("/status")

def ask(path, data=None):
    try:
        return urllib.request.urlopen(base + path, data=data, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code

assert ask("/health") == ask("/metrics") == ask("/json/counts.json") == 200
assert ask("/api/v1/retire_workers", b'{"workers": []}') == 404
assert ask("/api/v1") == 404
assert ask("/jupyter/api/kernels", b"{}") == ask("/jupyter/lab") == 404
assert ask("/proxy/8787/127.0.0.1/status") == 404
for path in ("/health", "/metrics", "/json/identity.json", "/info/main/workers.html"):
    assert ask(path, b"{}") == 405, path
"""
    )
    secured.python(program)


def test_row_39_renewed_certificates_and_those_before_get_along(secured):
    """A renewal changes the Secret; clients, scheduler and workers of before go on, and new ones join in."""
    before = secret_of(secured)
    program = (
        FIND
        + """
import json, subprocess, sys, time
import dask

with Client(cluster) as client:
    held = client.scatter([1, 2, 3], broadcast=True)
    for command in json.loads(sys.argv[1]):
        subprocess.run(command, check=True)
    cluster.scale(3)
    client.wait_for_workers(3, timeout=60)
    assert client.submit(sum, held).result(timeout=30) == 6
    shown = client.run(lambda: open(dask.config.get("distributed.comm.tls.worker.cert")).read())
    with KubeCluster.from_name("safe", quiet=True) as again, Client(again) as later:
        assert again.security.tls_client_cert != cluster.security.tls_client_cert
        assert again.security.tls_client_cert in shown.values(), "the new worker has the new certificate"
        found = later.run(lambda: 1)
        assert len(found) == 3, found
        moved = later.submit(sum, [later.scatter(1), later.scatter(2)], pure=False).result(timeout=30)
        assert moved == 3
    assert client.submit(sum, held, pure=False).result(timeout=30) == 6
    cluster.scale(2)
    while len(client.scheduler_info()["workers"]) > 2:  # Whoever comes next is to meet no one that leaves.
        time.sleep(0.2)
"""
    )
    key = "kubernetes.dask.org/renew-certificates"
    is_renewed = f"--for=jsonpath={{.metadata.annotations.{key.replace('.', chr(92) + '.')}}}=1"
    commands = [
        secured.command("annotate", "daskcluster", "safe", f"{key}=1", "--overwrite"),
        secured.command("wait", is_renewed, "secret/safe-tls", "--timeout=20s"),
    ]
    secured.python(program, json.dumps(commands))
    after = secret_of(secured)
    assert after["tls.key"] == before["next.key"]
    assert after["next.crt"] not in before.values()
    reasons = secured.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
    assert "CertificatesRenewed" in reasons


def test_row_39_the_operator_retires_workers_over_tls(secured):
    """Scaled down, the data of the worker that goes is moved, and nothing is computed again."""
    program = (
        FIND
        + """
import time

with Client(cluster) as client:
    client.wait_for_workers(2, timeout=60)
    addresses = list(client.scheduler_info()["workers"])
    held = [client.submit(lambda n: [n] * 10, n, workers=[addresses[n % 2]], pure=False) for n in range(8)]
    client.gather(held)
    cluster.scale(1)
    deadline = time.monotonic() + 60
    while len(client.scheduler_info()["workers"]) > 1:
        assert time.monotonic() < deadline, "the worker stays"
        time.sleep(0.2)
    assert [future.status for future in held] == ["finished"] * 8
    assert client.gather(held) == [[n] * 10 for n in range(8)]
    assert len(client.has_what()[next(iter(client.scheduler_info()["workers"]))]) == 8
    cluster.scale(2)
    client.wait_for_workers(2, timeout=60)
"""
    )
    secured.python(program)


def test_row_39_a_worker_that_somebody_deletes_hands_its_results_over_by_tls(secured):
    """The hook before its end runs in its Pod and has what the worker has."""
    program = (
        FIND
        + """
import subprocess, sys, uuid

with Client(cluster) as client:
    client.wait_for_workers(2, timeout=60)
    by_name = {worker["name"]: at for at, worker in client.scheduler_info()["workers"].items()}
    name, address = sorted(by_name.items())[0]
    held = client.submit(lambda: uuid.uuid4().hex, workers=[address], allow_other_workers=True)
    result = client.gather(held)
    assert client.who_has(held)[held.key] == (address,)
    subprocess.run([*sys.argv[1:], "pod", name], check=True)
    assert address not in client.who_has(held)[held.key]
    assert client.gather(held) == result, "it was computed again"
    client.wait_for_workers(2, timeout=60)
"""
    )
    secured.python(program, *secured.command("delete", "--wait=true"))


def test_row_39_a_cluster_that_is_secured_later(kubernetes):
    """Under Recreate all of it is made anew at once, and finds itself again."""
    program = """
import subprocess, sys, time
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster

def connected(scheme):
    with KubeCluster.from_name("late", quiet=True, shutdown_on_close=False) as cluster:
        assert cluster.scheduler_address.startswith(scheme), cluster.scheduler_address
        with Client(cluster) as client:
            client.wait_for_workers(1, timeout=60)
            assert client.submit(sum, [1, 2]).result(timeout=30) == 3
            assert all(at.startswith(scheme) for at in client.scheduler_info()["workers"])

connected(sys.argv[1])
"""
    spec = a_job()["spec"]["cluster"]["spec"]
    plain = {**spec, "security": False, "updateStrategy": {"type": "Recreate"}}
    cluster = {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster", "metadata": {"name": "late"}}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps({**cluster, "spec": plain}))
    kubernetes.kubectl("wait", "--for=condition=Ready", "daskcluster/late", "--timeout=60s")
    kubernetes.python(program, "tcp://")
    kubernetes.kubectl("patch", "daskcluster", "late", "--type=merge", "-p", '{"spec": {"security": true}}')
    kubernetes.kubectl("wait", "--for=condition=Secured", "daskcluster/late", "--timeout=60s")
    kubernetes.kubectl("wait", "--for=condition=Ready", "daskcluster/late", "--timeout=60s")
    kubernetes.python(program, "tls://")


RUN = """
import os
from dask.distributed import Client

with Client() as client:
    assert client.scheduler.address.startswith("tls://")
    print("sum", client.submit(sum, [1, 2, 3]).result(timeout=60))
"""


def a_job(*, own_secret: str = "") -> dict[str, Any]:
    """Return a job whose cluster speaks TLS and whose containers say nothing of it."""

    def pod(name: str, *words: str, **more: Any) -> dict[str, Any]:
        made = {"name": name, "image": IMAGE, "args": list(words), **more}
        return {"containers": [made], "restartPolicy": "Never" if name == "runner" else "Always"}

    ports = [{"name": "tcp-comm", "containerPort": 8786}, {"name": "http-dashboard", "containerPort": 8787}]
    probe = {"httpGet": {"port": "http-dashboard", "path": "/health"}, "periodSeconds": 1}
    service_ports = [{"name": each["name"], "port": each["containerPort"]} for each in ports]
    scheduler = {
        "spec": pod("scheduler", "dask", "scheduler", ports=ports, readinessProbe=probe),
        "service": {"type": "ClusterIP", "ports": service_ports},
    }
    worker = {"replicas": 1, "spec": pod("worker", "dask", "worker", "--name", "$(DASK_WORKER_NAME)")}
    own = {"securitySecret": own_secret} if own_secret else {}
    cluster = {"security": True, **own, "scheduler": scheduler, "worker": worker}
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {"name": "safe"},
        "spec": {"job": {"spec": pod("runner", "python", "-c", RUN)}, "cluster": {"spec": cluster}},
    }


def run(kubernetes, job: dict[str, Any]) -> None:
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(job))
    wanted = "--for=jsonpath={.status.jobStatus}=Successful"
    kubernetes.kubectl("wait", wanted, "daskjob/safe", "--timeout=90s", timeout=100)
    assert "sum 6" in kubernetes.kubectl("logs", "safe-runner")


def test_row_39_a_job_whose_cluster_speaks_tls(kubernetes):
    run(kubernetes, a_job())
    kubernetes.kubectl("wait", "--for=delete", "secret/safe-tls", "--timeout=30s")


def test_row_39_certificates_of_the_users_own(kubernetes):
    """They come later than the job, which says what it waits for; nobody writes to their Secret."""
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(a_job(own_secret="mine")))
    refused = "--for=jsonpath={.status.conditions[?(@.type=='Accepted')].reason}=SecretNotFound"
    kubernetes.kubectl("wait", "--for=create", "daskcluster/safe", "--timeout=20s")
    kubernetes.kubectl("wait", refused, "daskcluster/safe", "--timeout=20s")
    made = issue("mine", ["safe-scheduler"], None, datetime.now(timezone.utc))
    data = {key: base64.b64encode(made[key]).decode() for key in ("ca.crt", "tls.crt", "tls.key")}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "data": data}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(secret))
    wanted = "--for=jsonpath={.status.jobStatus}=Successful"
    kubernetes.kubectl("wait", wanted, "daskjob/safe", "--timeout=90s", timeout=100)
    assert "sum 6" in kubernetes.kubectl("logs", "safe-runner")
    assert secret_of(kubernetes, "mine") == data
    assert "safe-tls" not in kubernetes.kubectl("get", "secrets", "-o", "name")
