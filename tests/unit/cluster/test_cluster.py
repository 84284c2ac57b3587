"""What KubeCluster refuses before it has reached any Kubernetes, and how it fails without one."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dask_gpu_k8s import KubeCluster, make_cluster_spec
from dask_gpu_k8s.errors import InvalidArgument, InvalidType, NoKubernetes


@pytest.fixture(autouse=True)
def _no_kubernetes(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_an_unknown_argument():
    with pytest.raises(
        TypeError, match=r"^KubeCluster has no argument 'nworkers' \(did you mean 'n_workers'"
    ):
        KubeCluster(nworkers=3)


def test_arguments_have_names():
    with pytest.raises(TypeError, match="positional"):
        KubeCluster("demo")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "my.cluster"}, InvalidArgument, "^name: 'my.cluster' must start"),
        # As dagster-dask makes one of a job's name.
        ({"name": "my_job"}, InvalidArgument, "^name: 'my_job' must start .* How about 'my-job'\\?$"),
        ({"n_workers": -1}, InvalidArgument, "^n_workers: must be at least 0"),
        ({"image": 1}, InvalidType, "^image: must be a string"),
        ({"resources": {"limits": {"cpu": "x"}}}, InvalidArgument, r"^resources\['limits'\]\['cpu'\]: 'x'"),
        ({"custom_cluster_spec": {"kind": "Pod"}}, InvalidArgument, "^custom_cluster_spec: is 'Pod'"),
        (
            {"worker_options": {"overlay": {"spec": {"containers": [{"name": "worker", "imag": "x"}]}}}},
            InvalidArgument,
            r"spec.worker.spec.containers\[0\].imag: unknown field; did you mean 'image'\?",
        ),
    ],
)
def test_bad_input_is_refused_before_kubernetes_is_asked(arguments, error, message):
    with pytest.raises(error, match=message):
        KubeCluster(**arguments)


def test_no_kubernetes_is_configured():
    before = threading.active_count()
    with pytest.raises(NoKubernetes, match=r"no kubeconfig at .*/none, .*`python -m dask_gpu_k8s.local`"):
        KubeCluster(name="demo")
    assert threading.active_count() == before


async def test_no_kubernetes_asynchronously():
    with pytest.raises(NoKubernetes):
        await KubeCluster(name="demo", asynchronous=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_asynchronous_cluster_that_is_never_started():
    cluster = KubeCluster(name="demo", asynchronous=True)
    assert cluster.status.name == "created"
    assert repr(cluster) == "KubeCluster(demo, '<Not Connected>', workers=0, threads=0, memory=0 B)"
    assert cluster.dashboard_link == ""
    await cluster.close()
    assert cluster.status.name == "closed"
    await cluster.close()


async def test_a_call_before_the_start():
    cluster = KubeCluster(name="demo", asynchronous=True)
    with pytest.raises(Exception, match=r"it is not started or already closed. Await the cluster first"):
        await cluster.scale(3)
    with pytest.raises(InvalidArgument, match=r"^n: must be at least 0"):
        cluster.scale(-1)
    await cluster.close()


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({}, "^maximum: is missing. Say how many"),
        ({"minimum": 3}, "^maximum: is missing"),
        ({"minimum": 3, "maximum": 2}, "^minimum: 3 is more than maximum, 2"),
        ({"minimum": -1, "maximum": 2}, "^minimum: must be at least 0"),
        ({"maximum": "2"}, "^maximum: must be a whole number"),
    ],
)
async def test_bounds_of_adaptive_scaling(bounds, said):
    cluster = KubeCluster(name="demo", asynchronous=True)
    with pytest.raises((InvalidArgument, InvalidType), match=said):
        cluster.adapt(**bounds)
    await cluster.close()


async def test_clusters_are_equal_to_themselves_only():
    first, second = (KubeCluster(name="demo", asynchronous=True) for _ in range(2))
    assert first == first
    assert first != second
    assert len({first, second}) == 2
    await first.close()
    await second.close()


async def test_what_a_custom_spec_makes_useless_is_named():
    with pytest.warns(UserWarning, match="custom_cluster_spec says it all; ignored: image, n_workers$"):
        cluster = KubeCluster(
            custom_cluster_spec=make_cluster_spec("other", "dask"), n_workers=3, image="x", asynchronous=True
        )
    assert cluster.name == "other"
    await cluster.close()


async def test_the_jupyter_link_of_a_cluster_without_it():
    cluster = KubeCluster(name="demo", asynchronous=True)
    with pytest.raises(Exception, match=r"no Jupyter server runs on the scheduler. Create .* jupyter=True"):
        _ = cluster.jupyter_link
    await cluster.close()
