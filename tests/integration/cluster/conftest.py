from __future__ import annotations

import pytest

from dask_gpu_k8s import KubeCluster


@pytest.fixture
def settings(kubernetes):
    """Arguments by which a KubeCluster finds the test's namespace."""
    return {
        "kubeconfig": kubernetes.kubeconfig,
        "namespace": kubernetes.namespace,
        "name": "demo",
        "quiet": True,
    }


@pytest.fixture
def cluster(settings):
    """A cluster with one worker, closed afterwards."""
    with KubeCluster(n_workers=1, **settings) as cluster:
        yield cluster


@pytest.fixture
def clusters(kubernetes):
    """Name the DaskClusters in the test's namespace."""

    def names() -> list[str]:
        found = kubernetes.kubectl("get", "daskclusters", "-o", "name").split()
        return [name.rpartition("/")[2] for name in found]

    return names
