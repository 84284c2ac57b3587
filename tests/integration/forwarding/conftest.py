"""A Kubernetes without our operator, and a Pod in it to connect to."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.local import LocalKubernetes
from tests.clusters import EMBEDDED, REAL
from tests.conftest import Kubernetes
from tests.integration.forwarding.pod import pod, service


def start_pod(cluster: Kubernetes, name: str) -> None:
    """Create a Pod and wait until it listens."""
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(pod(name)))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Running", f"pod/{name}", "--timeout=60s")
    command = cluster.command("logs", "--follow", name)
    with subprocess.Popen(command, env=cluster.environment, stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == "listening\n", cluster.explain()
        logs.terminate()


@pytest.fixture(scope="session")
def api_cluster(request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """Give a Kubernetes: its kubeconfig and its kind."""
    if request.param == REAL:
        yield request.getfixturevalue("real_kubeconfig"), REAL
        return
    with LocalKubernetes() as kubernetes:
        yield Path(kubernetes.kubeconfig), EMBEDDED


@pytest.fixture(scope="module")
def cluster(api_cluster: tuple[Path, str]) -> Iterator[Kubernetes]:
    """Give a new namespace with the Pod "one" and its Service."""
    kubeconfig, kind = api_cluster
    cluster = Kubernetes(kubeconfig, f"forwarding-{secrets.token_hex(3)}", kind)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(namespace))
    try:
        # Until it is there, Pods are refused.
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=30s")
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(service("one")))
        start_pod(cluster, "one")
        yield cluster
    finally:
        cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")


@pytest.fixture
async def kube(cluster: Kubernetes) -> AsyncIterator[KubeClient]:
    async with KubeClient.connect(cluster.kubeconfig) as client:
        client.namespace = cluster.namespace
        yield client
