"""Adaptive scaling from Python, and as the tools that use it do."""

from __future__ import annotations

import asyncio
import json

import pytest

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.errors import WorkerGroupNotFound


@pytest.fixture
def bounds(kubernetes):
    """Read the autoscalers: their group, minimum and maximum by name."""

    def read() -> dict[str, tuple[str | None, int, int]]:
        found = json.loads(kubernetes.kubectl("get", "daskautoscalers", "-o", "json"))["items"]
        return {
            each["metadata"]["name"]: (
                each["spec"].get("workerGroup"),
                each["spec"]["minimum"],
                each["spec"]["maximum"],
            )
            for each in found
        }

    return read


def test_a_group_adapts_until_it_is_scaled(cluster, bounds):
    adaptive = cluster.adapt(minimum=1, maximum=3)
    assert (adaptive.minimum, adaptive.maximum) == (1, 3)
    assert bounds() == {"demo": (None, 1, 3)}
    cluster.adapt(maximum=2)
    cluster.add_worker_group("more", n_workers=0)
    cluster.adapt(maximum=5, worker_group="more")
    assert bounds() == {"demo": (None, 0, 2), "demo-more": ("demo-more", 0, 5)}
    cluster.scale(1)
    assert bounds() == {"demo-more": ("demo-more", 0, 5)}
    with pytest.raises(WorkerGroupNotFound, match="default, more"):
        cluster.adapt(maximum=1, worker_group="mroe")


def test_an_autoscaler_that_is_there_is_used_whatever_its_name(cluster, kubernetes, bounds):
    spec = {"cluster": "demo", "minimum": 1, "maximum": 1, "priority": 7}
    own = {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskAutoscaler", "metadata": {"name": "own"}}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps({**own, "spec": spec}))
    cluster.adapt(minimum=0, maximum=4)
    assert bounds() == {"own": (None, 0, 4)}
    cluster.scale(1)
    assert bounds() == {}


async def test_dask_labextension_adapts_without_awaiting_and_reads_the_bounds(settings, bounds):
    async with KubeCluster(n_workers=0, asynchronous=True, **settings) as cluster:
        adaptive = cluster.adapt(minimum=1, maximum=2)
        assert (adaptive.minimum, adaptive.maximum) == (1, 2)
        assert await adaptive == await adaptive
        assert bounds() == {"demo": (None, 1, 2)}


async def test_prefect_adapts_synchronously_inside_a_running_loop(settings, bounds):
    with KubeCluster(n_workers=0, **settings) as cluster:
        adaptive = cluster.adapt(minimum=0, maximum=2)
        assert not hasattr(adaptive, "__await__"), "it would be awaited on a loop that is not the cluster's"
        assert bounds() == {"demo": (None, 0, 2)}


async def test_adapt_called_from_and_awaited_in_a_foreign_loop(settings, bounds):
    """As prefect-dask does: its own loop runs in another thread than the cluster's."""
    async with KubeCluster(n_workers=0, asynchronous=True, **settings) as cluster:
        pending = cluster.adapt(minimum=0, maximum=2)

        async def foreign():
            assert await pending == await pending
            return cluster.adapt(minimum=1, maximum=3)

        adaptive = await asyncio.to_thread(asyncio.run, foreign())
        assert (adaptive.minimum, adaptive.maximum) == (1, 3)
        assert await asyncio.to_thread(bounds) == {"demo": (None, 1, 3)}


async def test_orders_that_nobody_awaits_take_effect_one_after_the_other(settings, bounds):
    async with KubeCluster(n_workers=0, asynchronous=True, **settings) as cluster:
        cluster.adapt(maximum=2)
        await cluster.adapt(maximum=1)
        assert await asyncio.to_thread(bounds) == {"demo": (None, 0, 1)}
        for n in (3, 2, 0):
            cluster.scale(n)
        cluster.suspend()
        await cluster.resume()
        assert (await cluster.worker_groups())["default"].n_workers == 0
        assert await asyncio.to_thread(bounds) == {}
