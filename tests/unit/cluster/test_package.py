"""The public face: what it names, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

import dask_gpu_k8s
from dask_gpu_k8s import errors

HEAVY = {"aiohttp", "kubernetes_asyncio", "cryptography", "rich", "numpy", "pandas"}


PROGRAM = """
import json, sys
import dask_gpu_k8s
alone = set(sys.modules)
import distributed
with_distributed = set(sys.modules)
dask_gpu_k8s.KubeCluster
with_class = set(sys.modules) - with_distributed
print(json.dumps([[*alone], [*with_class]]))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What a fresh interpreter loads with the package and then with KubeCluster, and its home folder."""
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env={"HOME": str(home)}
    )
    alone, with_class = json.loads(done.stdout)
    return set(alone), set(with_class), home


def test_all_is_what_is_there():
    assert set(dask_gpu_k8s.__all__) <= set(dir(dask_gpu_k8s))
    for name in dask_gpu_k8s.__all__:
        assert getattr(dask_gpu_k8s, name) is not None


def test_classes_say_where_they_are_imported_from():
    for name in ("KubeCluster", "CreateMode", "PodOptions"):
        assert getattr(dask_gpu_k8s, name).__module__ == "dask_gpu_k8s"


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'KubCluster'"):
        _ = dask_gpu_k8s.KubCluster


def test_all_errors_are_named_and_drawn():
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.DaskClusterError)
        assert f" {name} " in f" {errors.__doc__} ".replace("\n", " ")


def test_import_loads_next_to_nothing(imported):
    assert {name for name in imported[0] if name.startswith("dask")} == {"dask_gpu_k8s"}
    assert not HEAVY & imported[0]


def test_the_class_loads_nothing_that_talks_to_kubernetes(imported):
    assert "dask_gpu_k8s.cluster.cluster" in imported[1]
    assert not HEAVY & imported[1]


def test_nothing_is_written_to_the_home_folder(imported):
    assert not list(imported[2].rglob("kubernetes.yaml"))


def test_the_version_is_the_distributions():
    assert dask_gpu_k8s.__version__ == version("dask-gpu-k8s")


def test_dask_ctl_finds_the_entry_point():
    (point,) = [
        point for point in entry_points(group="dask_cluster_discovery") if point.name == "dask_gpu_k8s"
    ]
    assert point.load() is dask_gpu_k8s.discover
