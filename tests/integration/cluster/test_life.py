"""A cluster's life, from both kinds of caller."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import dask
import psutil
import pytest
from distributed import Client

from dask_gpu_k8s import CreateMode, KubeCluster, discover, make_cluster_spec, make_worker_spec
from dask_gpu_k8s.cluster.base import RECONNECT_SECONDS
from dask_gpu_k8s.cluster.futures import Futures
from dask_gpu_k8s.errors import CloseTimedOut, ClusterExists, WorkerGroupExists, WorkerGroupNotFound


def connections() -> int:
    return len([each for each in psutil.Process().net_connections("inet")])


def test_from_another_thread_than_the_loops(settings, clusters):
    threads, open_before = threading.active_count(), connections()
    cluster = KubeCluster(n_workers=1, **settings)
    assert clusters() == ["demo"]
    assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
    assert cluster.dashboard_link.startswith("http://127.0.0.1:")
    with Client(cluster) as client:
        assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6
        assert cluster.scale(2) is None
        cluster.wait_for_workers(2, timeout=60)
        cluster.add_worker_group("extra", n_workers=1, env={"GROUP": "extra"})
        client.wait_for_workers(3, timeout=60)
        assert "workers=3," in repr(cluster)
        assert len(cluster.get_logs()) == 4
        cluster.delete_worker_group("extra")
    cluster.close()
    cluster.close()
    assert cluster.status.name == "closed"
    assert clusters() == []
    assert threading.active_count() == threads
    assert connections() == open_before


def test_row_3_each_client_waits_for_a_scheduler_that_is_away(settings):
    with KubeCluster(**settings) as cluster:
        with Client(cluster) as client, Client(cluster, set_as_default=False) as another:
            for each in (client, another):
                assert each._timeout == RECONNECT_SECONDS
                assert isinstance(each.futures, Futures)


async def test_row_3_so_does_one_within_the_loop(settings):
    async with KubeCluster(asynchronous=True, **settings) as cluster:
        async with Client(cluster, asynchronous=True) as client:
            assert client._timeout == RECONNECT_SECONDS
            assert isinstance(client.futures, Futures)


def test_the_dashboard_on_a_port_that_was_asked_for(settings):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with KubeCluster(scheduler_forward_port=port, **settings) as cluster:
        assert cluster.dashboard_link == f"http://127.0.0.1:{port}/status"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert answer.read() == b"ok"


async def test_from_within_the_loop(settings, clusters):
    async with KubeCluster(n_workers=1, asynchronous=True, **settings) as cluster:
        assert await cluster is cluster
        async with Client(cluster, asynchronous=True) as client:
            assert await client.submit(sum, [1, 2, 3]) == 6
            cluster.scale(2)  # acts though nobody awaits it
            await cluster.wait_for_workers(2, timeout=60)
            await cluster.add_worker_group("extra", custom_spec=make_worker_spec("dask", 1))
            await client.wait_for_workers(3, timeout=60)
            logs = await cluster.get_logs()
            assert "Start worker" in logs[next(name for name in logs if "extra" in name)]
            await cluster.delete_worker_group("extra")
    await cluster.close()
    assert await asyncio.to_thread(clusters) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_from_a_notebook(settings, clusters):
    """A loop runs here already, and nobody awaits: calls block, and act."""
    cluster = KubeCluster(**settings)
    assert cluster.scale(1) is None
    cluster.wait_for_workers(1, timeout=60)
    assert "demo" in cluster._repr_html_()
    assert "Workers: 1" in cluster._scaling_status()
    cluster.close()
    assert await asyncio.to_thread(clusters) == []


def test_worker_groups_that_are_not_there_or_already(cluster):
    with pytest.raises(WorkerGroupNotFound, match=r"did you mean 'default'\?\). Its groups are default\."):
        cluster.scale(2, worker_group="defualt")
    with pytest.raises(WorkerGroupNotFound, match=r"Its groups are default\."):
        cluster.delete_worker_group("gpu")
    with pytest.raises(WorkerGroupExists, match="it is there already"):
        cluster.add_worker_group("default")


def test_an_existing_name(settings, cluster, clusters):
    with pytest.raises(ClusterExists, match=r"create_mode is CREATE_ONLY"):
        KubeCluster(create_mode=CreateMode.CREATE_ONLY, **settings)
    with KubeCluster(image="ignored", **settings) as second:
        assert second.image == cluster.image, "it is as it is there"
        assert second.n_workers == 1
        assert not second.shutdown_on_close
        assert second._loop_runner.loop is cluster._loop_runner.loop, "one loop for all"
    assert clusters() == ["demo"], "who only connected leaves it"


def test_shutdown_on_close_may_still_be_changed(settings, clusters):
    """As dask-ctl does after it has created one."""
    cluster = KubeCluster(**settings)
    cluster.shutdown_on_close = False
    cluster.close()
    assert clusters() == ["demo"]
    name = settings.pop("name")
    KubeCluster.from_name(name, shutdown_on_close=True, **settings).close()
    assert clusters() == []


def test_client_shutdown_closes_the_cluster(settings, clusters):
    cluster = KubeCluster(**settings)
    Client(cluster).shutdown()
    assert cluster.status.name == "closed"
    assert clusters() == []


def test_a_custom_cluster_with_its_own_labels(settings, kubernetes):
    del settings["name"]
    spec = make_cluster_spec("mine", "dask", 0)
    spec["metadata"]["labels"] = {"team": "blue"}
    with KubeCluster(custom_cluster_spec=spec, **settings) as cluster:
        assert cluster.name == "mine"
        labels = kubernetes.kubectl("get", "daskcluster", "mine", "-o", "jsonpath={.metadata.labels}")
        assert labels == '{"dask.org/cluster-name":"mine","team":"blue"}'


def test_a_finalizer_that_holds_the_cluster(settings, kubernetes, clusters):
    cluster = KubeCluster(**settings)
    hold = '{"metadata": {"finalizers": ["example.com/hold"]}}'
    kubernetes.kubectl("patch", "daskcluster", "demo", "--type=merge", "-p", hold)
    with pytest.raises(
        CloseTimedOut, match=r"still there after 0.5 s. Its finalizers hold it: .*example.com"
    ):
        cluster.close(timeout=0.5)
    assert cluster.status.name == "closed"
    kubernetes.kubectl(
        "patch", "daskcluster", "demo", "--type=merge", "-p", '{"metadata": {"finalizers": null}}'
    )
    assert clusters() == []


def test_news_of_workers_after_a_cut(cluster):
    """The base class stops listening at the first error; repr and widget would freeze."""
    cluster.loop.add_callback(cluster._watch_worker_status_comm.abort)
    cluster.scale(2)
    deadline = time.monotonic() + 60
    while len(cluster.scheduler_info["workers"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "workers=2," in repr(cluster)


async def test_dask_ctl_discovers_and_finds_by_the_name_alone(settings, monkeypatch):
    """Also what is in another namespace than the one that is meant."""
    monkeypatch.setenv("KUBECONFIG", str(settings["kubeconfig"]))
    async with KubeCluster(asynchronous=True, **settings):
        with dask.config.set({"kubernetes.namespace": settings["namespace"]}):
            assert ("demo", KubeCluster) in [pair async for pair in discover()]
        found = dict([pair async for pair in discover()])
        assert issubclass(found["demo"], KubeCluster)
        cluster = await asyncio.to_thread(found["demo"].from_name, "demo")
        assert (cluster.namespace, cluster.shutdown_on_close) == (settings["namespace"], False)
        await asyncio.to_thread(cluster.close)


def test_interrupted_while_it_waits(kubernetes, clusters):
    """Ctrl-C in a start that never ends: no cluster is left, and one traceback, the user's own."""
    program = (
        "from dask_gpu_k8s import KubeCluster\n"
        "print('ready', flush=True)\n"
        "KubeCluster(name='demo', scheduler_resources={'limits': {'nvidia.com/gpu': 99}})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kubernetes.environment,
    )
    process.stdout.readline()
    kubernetes.kubectl("wait", "--for=create", "pod/demo-scheduler", "--timeout=30s")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert errors.count("Traceback") == 1, errors
    assert errors.endswith("KeyboardInterrupt\n")
    assert clusters() == []
