"""The page's cluster with the dask-cuda that it names, on a GPU: it computes there, and gives it back."""

from __future__ import annotations

import numpy
import pytest
from distributed import Client, wait

from dask_gpu_k8s import KubeCluster
from tests.gpu.test_node import seen_in

MiB = 2**20
GROUP = "daskworkergroup/rapids-dask-default"


def holders(gpus) -> set[int]:
    return {process for gpu in gpus for process in gpu.holders()}


def used(gpus) -> int:
    return sum(gpu.used() for gpu in gpus)


@pytest.fixture
def idle(gpus) -> int:
    """Bytes taken while nobody computes; whoever does would be counted as ours."""
    assert holders(gpus) == set(), "somebody else computes on the GPUs of this machine"
    return used(gpus)


def only_worker(client) -> dict:
    (worker,) = client.scheduler_info(n_workers=-1)["workers"].values()
    return worker


def only_answer(client, function):
    """Run a function on the only worker."""
    (answer,) = client.run(function).values()
    return answer


def on_gpu(client, matrix, **options):
    """Copy a matrix to the GPU of a worker, where it stays."""

    def load(data):
        import cupy

        return cupy.asarray(data)

    return client.submit(load, matrix, **options)


def product_on_gpu(client, matrix):
    """Multiply a matrix with its transpose on the GPU."""

    def product(loaded):
        return (loaded @ loaded.T + loaded.sum()).get()

    return client.submit(product, on_gpu(client, matrix)).result(timeout=60)


def test_the_page_computes_on_the_gpu_and_leaves_it(kubernetes, page, gpus, idle):
    with KubeCluster(**page) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        matrix = numpy.random.default_rng(0).random((500, 300))
        expected = matrix @ matrix.T + matrix.sum()
        numpy.testing.assert_allclose(product_on_gpu(client, matrix), expected, rtol=1e-9)

        def facts(dask_worker):
            import os

            from cuda.core import Device

            return {
                "pid": os.getpid(),
                "device": Device(0).name,
                "data": type(dask_worker.data).__name__,
                "plugins": {type(plugin).__name__ for plugin in dask_worker.plugins.values()},
            }

        seen = only_answer(client, facts)
        assert holders(gpus) == {seen["pid"]}, "the worker, and neither nanny nor scheduler"
        assert seen["device"] in {gpu.name for gpu in gpus}
        assert seen["data"] == "DeviceHostFile"
        assert {"CPUAffinity", "RMMSetup"} <= seen["plugins"]
        worker = only_worker(client)
        assert worker["nanny"] is not None
        assert len(seen_in(kubernetes, worker["name"])) == 1
        assert seen_in(kubernetes, "rapids-dask-scheduler") == []
    kubernetes.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=60s")
    assert holders(gpus) == set()
    assert used(gpus) <= idle


def test_scaling_to_zero_frees_the_gpu_and_back_takes_it(kubernetes, page, gpus, idle):
    with KubeCluster(**page) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        first = only_worker(client)["name"]
        assert used(gpus) > idle
        cluster.scale(0)
        kubernetes.kubectl("wait", "--for=delete", f"pod/{first}", "--timeout=60s")
        assert holders(gpus) == set()
        assert used(gpus) <= idle

        cluster.scale(1)
        client.wait_for_workers(1, timeout=60)
        assert only_worker(client)["name"] != first
        matrix = numpy.eye(10)
        numpy.testing.assert_array_equal(product_on_gpu(client, matrix), matrix + 10)
        assert len(holders(gpus)) == 1


def test_a_worker_more_than_there_are_gpus_says_what_it_waits_for(kubernetes, page, gpus):
    with KubeCluster(**page) as cluster:
        cluster.scale(len(gpus) + 1)
        cluster.wait_for_workers(len(gpus), timeout=60)
        kubernetes.kubectl("wait", "--for=jsonpath={.status.unschedulableReplicas}=1", GROUP, "--timeout=30s")
        assert f"workers={len(gpus)}/{len(gpus) + 1}" in repr(cluster)
        message = 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'
        assert "Insufficient nvidia.com/gpu" in kubernetes.kubectl("get", GROUP, "-o", message)
        pending = kubernetes.kubectl("get", "pods", "--field-selector=status.phase=Pending", "-o", "name")
        assert "Insufficient nvidia.com/gpu" in kubernetes.kubectl("describe", pending.strip())


def test_results_that_only_gpu_workers_can_take_do_not_hold_the_gpu_for_ever(kubernetes, page, gpus):
    with KubeCluster(**page) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        gpu_worker = only_worker(client)
        cluster.add_worker_group("cpu", n_workers=1, worker_command="dask worker", resources={})
        client.wait_for_workers(2, timeout=60)
        result = on_gpu(client, numpy.eye(10), workers=[gpu_worker["name"]])
        wait(result)
        bound = '{"spec": {"drainTimeout": 5}}'
        kubernetes.kubectl("patch", "daskcluster/rapids-dask", "--type=merge", "-p", bound)
        cluster.scale(0)
        kubernetes.kubectl("wait", "--for=delete", f"pod/{gpu_worker['name']}", "--timeout=60s")
        assert holders(gpus) == set()
        lost = kubernetes.kubectl("get", "events", "--field-selector=reason=ResultsLost")
        assert gpu_worker["name"] in lost


def test_an_rmm_pool_of_the_size_that_was_asked_for(page, gpus, idle):
    page["worker_command"] = "dask-cuda-worker --rmm-pool-size 1GiB"

    def pool() -> int:
        import rmm

        return rmm.mr.get_current_device_resource().pool_size()

    with KubeCluster(**page) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        assert only_answer(client, pool) == 1024 * MiB
        assert used(gpus) - idle >= 1024 * MiB
