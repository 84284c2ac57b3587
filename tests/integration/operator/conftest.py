"""A Kubernetes without an operator, and an operator that runs in the test's own process and loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dask_gpu_k8s.api.manifests import crds
from dask_gpu_k8s.api.resources import NAMESPACE
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.local import LocalKubernetes
from dask_gpu_k8s.operator.app import Operator
from dask_gpu_k8s.operator.settings import Settings

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def bare_kubeconfig() -> Iterator[Path]:
    """Start a Kubernetes that has our resources and nobody who looks after them."""
    with LocalKubernetes(manifests=crds()) as kubernetes:
        yield Path(kubernetes.kubeconfig)


@pytest.fixture
async def kube(bare_kubeconfig: Path) -> AsyncIterator[KubeClient]:
    """Return a client whose default namespace is the test's own."""
    async with KubeClient.connect(bare_kubeconfig) as kube:
        kube.namespace = f"op-{next(_numbers)}"
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kube.namespace}}
        await kube.create(NAMESPACE, manifest)
        yield kube
        await kube.delete(NAMESPACE, kube.namespace)


@contextlib.asynccontextmanager
async def running(kube: KubeClient, **settings: Any) -> AsyncIterator[Operator]:
    """Run an operator for the test's namespace."""
    operator = Operator(kube, Settings(namespaces=(kube.namespace,), **settings))
    stop = asyncio.Event()
    task = asyncio.ensure_future(operator.run(stop))
    try:
        yield operator
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def eventually(check: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Ask again until the answer is truthy; return it."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        answer = await check()
        if answer:
            return answer
        assert loop.time() < end, f"not within {seconds} s: {check.__doc__ or check}"
        await asyncio.sleep(0.02)


def a_cluster(name: str, replicas: int = 2, *, node: str | None = "nowhere") -> dict[str, Any]:
    """Return a DaskCluster whose Pods fit on no node, so that no process is started for them."""
    place = {"nodeSelector": {"kubernetes.io/hostname": node}} if node else {}
    container = {"image": "any", "command": ["sleep", "600"]}
    ports = [{"name": "tcp-comm", "port": 8786}, {"name": "http-dashboard", "port": 8787}]
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": name},
        "spec": {
            "worker": {
                "replicas": replicas,
                "spec": {**place, "containers": [{"name": "worker", **container}]},
            },
            "scheduler": {
                "spec": {**place, "containers": [{"name": "scheduler", **container}]},
                "service": {"type": "ClusterIP", "ports": ports},
            },
        },
    }
