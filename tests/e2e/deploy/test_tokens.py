"""Row 8: the operator's token expires, and is renewed as a kubelet renews it: a new one in the same file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from dask_gpu_k8s.api import deploy
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, NAMESPACE, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Unauthorized
from tests.clusters import REAL
from tests.e2e.deploy import stories
from tests.e2e.deploy.conftest import Kubectl
from tests.e2e.deploy.stories import Stage
from tests.tokens import signed

pytestmark = [
    pytest.mark.only(REAL, "LocalKubernetes signs no tokens"),
    pytest.mark.skipif(
        "DASK_K8S_E2E_KUBECONFIG" in os.environ, reason="takes the key with which the API server signs tokens"
    ),
]

LIFE = 60
"""Seconds; a real server issues none under 600, so they are signed here, with its own key."""


def with_token_file(kubeconfig: Path, token: Path) -> Path:
    """Write a kubeconfig for the same cluster with a file that holds a token."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"] = {"tokenFile": str(token)}
    written = token.parent / "config"
    written.write_text(yaml.safe_dump(config))
    return written


@pytest.fixture
async def kube(alone: Path) -> AsyncIterator[KubeClient]:
    """Give a client of the cluster, in which no operator runs, and a namespace."""
    async with KubeClient.connect(alone) as kube:
        made = await kube.create(NAMESPACE, {"metadata": {"generateName": "token-"}})
        kube.namespace = made["metadata"]["name"]
        yield kube
        await kube.delete(NAMESPACE, kube.namespace)


@contextlib.contextmanager
def operator(kubeconfig: Path, namespace: str) -> Iterator[None]:
    """Run an operator for a namespace outside the cluster."""
    command = [
        sys.executable,
        "-m",
        "dask_gpu_k8s.operator",
        "-n",
        namespace,
        "--kubeconfig",
        str(kubeconfig),
    ]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()


async def until_workers(kube: KubeClient, count: int, seconds: float) -> None:
    """Wait for so many workers, but no longer than so many seconds."""

    async def look() -> None:
        while True:
            pods = (await kube.list(POD, labels={"dask.org/component": "worker"}))["items"]
            if len([pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]) == count:
                return
            await asyncio.sleep(0.1)

    await asyncio.wait_for(look(), seconds)


async def test_row_8_actions_resume_within_60_s_of_a_new_token(
    alone: Path, kube: KubeClient, kubectl: Kubectl, tmp_path: Path
):
    space = kube.namespace
    kubectl("-n", space, "create", "serviceaccount", "outside")
    kubectl("-n", space, "create", "rolebinding", "outside", f"--clusterrole={deploy.CHART}",
            f"--serviceaccount={space}:outside")  # fmt: skip
    uid = kubectl("-n", space, "get", "serviceaccount", "outside", "-o", "jsonpath={.metadata.uid}")
    key = serialization.load_pem_private_key((alone.parent / "tokens.key").read_bytes(), None)
    token = tmp_path / "token"

    def renew() -> None:
        text = signed(key, space, {"name": "outside", "uid": uid}, LIFE)
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").replace(token)

    renew()
    kubeconfig = with_token_file(alone, token)
    with operator(kubeconfig, space):
        await Stage(kube, space, space, "tokens").create(DASKCLUSTER, stories.cluster_spec("tokens", 1))
        await until_workers(kube, 1, 30)
        await expiry(kubeconfig, space)
        await kube.patch(DASKWORKERGROUP, "tokens-default", {"spec": {"worker": {"replicas": 3}}})
        renew()
        await until_workers(kube, 3, 60)


async def expiry(kubeconfig: Path, namespace: str) -> None:
    """Wait until the API server no longer takes the token."""
    async with KubeClient.connect(kubeconfig) as kube:
        with contextlib.suppress(Unauthorized):
            while True:
                await kube.list(POD, namespace)
                await asyncio.sleep(1)
