"""Workers that do not come, and workers that go: what the cluster object says of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

import pytest
from distributed import Client, KilledWorker

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.cluster import ends
from tests.clusters import REAL

# Images have another Python than tests.
pytestmark = pytest.mark.filterwarnings("ignore::distributed.versions.VersionMismatchWarning")

FIRST_TIME = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
"""The first worker that a task brings down is enough for KilledWorker."""


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine takes longer to say what has ended than people are let wait."""
    monkeypatch.setattr(ends, "NEWS_SECONDS", 10.0)
    monkeypatch.setattr(ends, "LOG_SECONDS", 10.0)


@pytest.fixture
def settings(kubernetes):
    return {
        "kubeconfig": kubernetes.kubeconfig,
        "namespace": kubernetes.namespace,
        "name": "demo",
        "quiet": True,
        "env": FIRST_TIME,
    }


def test_row_20_workers_that_fit_nowhere_are_shown_with_the_reason_everywhere(settings, kubernetes, caplog):
    gpus = {"limits": {"nvidia.com/gpu": 99}}
    with KubeCluster(n_workers=2, resources=gpus, **settings) as cluster:
        condition = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].message}'
        kubernetes.kubectl(
            "wait",
            "daskworkergroup/demo-default",
            "--for=jsonpath={.status.unschedulableReplicas}=2",
            "--timeout=30s",
        )
        why = kubernetes.kubectl("get", "daskworkergroup", "demo-default", condition)
        assert why.startswith("0 of 2 ready; 2: fits on no node: 0/")
        assert "Insufficient nvidia.com/gpu" in why
        with pytest.raises((TimeoutError, asyncio.TimeoutError)) as caught, Client(cluster) as client:
            client.wait_for_workers(1, timeout=2)
        if sys.version_info >= (3, 11):
            assert why in caught.value.__notes__[0]
        assert "workers=0/2" in repr(cluster)
        assert f"default: {why}" in repr(cluster)
        assert why in cluster._repr_html_()
        assert "2 (2 unschedulable)" in cluster._scaling_status()
    # The log says it as soon as one of them is known to fit nowhere.
    assert "worker group default: 0 of 2 ready; " in caplog.text
    assert why.partition("; 2: ")[2] in caplog.text


def killed(settings, task, caplog, before=lambda client: None, **arguments) -> str:
    """Have a worker killed by a task; return what the exception's note and the log say of it."""
    arguments = {"n_workers": 1, "worker_command": "dask worker --no-nanny", **arguments}

    def work() -> None:
        with KubeCluster(**settings, **arguments) as cluster, Client(cluster) as client:
            client.wait_for_workers(1, timeout=60)
            before(client)
            client.submit(task).result(timeout=60)

    with pytest.raises(KilledWorker) as caught:
        work()
    if sys.version_info < (3, 11):
        return caplog.text
    (note,) = caught.value.__notes__
    told = note.splitlines()[1].strip()
    assert f"a worker has ended: {told}" in caplog.text
    return told


def test_a_worker_that_exits_says_with_what_code_and_last_words(settings, caplog):
    def leave() -> None:
        print("these are its last words", flush=True)
        os._exit(3)

    told = killed(settings, leave, caplog)
    assert told.startswith("Pod demo-default-worker-group-worker-")
    assert " on node " in told
    assert "container worker has ended with exit code 3: these are its last words" in told


async def test_the_same_with_async_with_and_an_exception_of_ones_own(settings, caplog):
    async def work() -> None:
        async with (
            KubeCluster(
                n_workers=1, worker_command="dask worker --no-nanny", asynchronous=True, **settings
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            try:
                await client.submit(lambda: os._exit(3))
            except KilledWorker as error:
                raise RuntimeError("no result") from error

    with pytest.raises(RuntimeError) as caught:
        await work()
    assert "has ended with exit code 3" in caplog.text
    if sys.version_info >= (3, 11):
        (note,) = caught.value.__cause__.__notes__
        assert "has ended with exit code 3" in note


@pytest.mark.only(REAL, "it takes limits of memory")
def test_a_worker_that_needs_too_much_memory_says_so(settings, caplog):
    told = killed(
        settings, lambda: len(bytearray(2 << 30)), caplog, resources={"limits": {"memory": "400Mi"}}
    )
    assert (
        "OOMKilled: container worker was killed because it needed more memory than its limit of 400Mi" in told
    )


@pytest.mark.only(REAL, "it takes a kubelet that measures volumes")
def test_a_worker_that_its_node_evicts_says_why_though_it_is_replaced_at_once(settings, kubernetes, caplog):
    small = {
        "volumes": [{"name": "small", "emptyDir": {"sizeLimit": "1Mi"}}],
        "volume_mounts": [{"name": "small", "mountPath": "/small"}],
    }

    def fill() -> None:
        with open("/small/file", "wb") as file:
            file.write(bytes(16 << 20))

    with KubeCluster(n_workers=1, worker_options=small, **settings) as cluster, Client(cluster) as client:
        client.submit(fill).result(timeout=60)
        (name,) = client.run(lambda dask_worker: dask_worker.name).values()
        while f"a worker has ended: Pod {name} on node" not in caplog.text:
            time.sleep(0.1)
    assert 'Evicted: Usage of EmptyDir volume "small" exceeds the limit "1Mi"' in caplog.text


@pytest.mark.parametrize("command", ["dask worker", "dask worker --nworkers 2"])
def test_a_process_that_is_killed_beneath_its_nanny(settings, caplog, command):
    """The Pod runs on, so Kubernetes knows nothing; the nanny does."""

    def kill() -> None:
        os.kill(os.getpid(), 9)

    def until_nannies_run(client) -> None:
        # One whose worker goes before that gives up, and its Pod ends.
        ask = lambda dask_worker: dask_worker.status.name  # noqa: E731
        while set(client.run(ask, nanny=True).values()) != {"running"}:
            time.sleep(0.1)

    told = killed(settings, kill, caplog, until_nannies_run, worker_command=command)
    assert "its nanny says: Worker process" in told
    assert "was killed by signal 9" in told


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("delete", "Deleted: somebody has deleted it"),
        ("evict", "EvictionByEvictionAPI: Eviction API: evicting"),
    ],
)
def test_a_pod_that_somebody_takes_away_says_so(settings, kubernetes, caplog, how, reason):
    caplog.set_level("INFO", logger="dask_gpu_k8s.cluster.ends")
    with KubeCluster(n_workers=1, **settings) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        (name,) = client.run(lambda dask_worker: dask_worker.name).values()
        if how == "evict":
            path = f"/api/v1/namespaces/{kubernetes.namespace}/pods/{name}/eviction"
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            kubernetes.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
            kubernetes.kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=60s")
        else:
            kubernetes.kubectl("delete", "pod", name, "--timeout=60s")
        while f"a worker has ended: Pod {name} on node" not in caplog.text:
            time.sleep(0.1)
    assert reason in caplog.text
