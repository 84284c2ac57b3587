"""The ways to install the operator, as docs/installing.md has them, and what people may do then."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import distributed
import pytest
import yaml
from distributed import Client

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.api import deploy
from dask_gpu_k8s.api.manifests import OPERATOR_NAMESPACE
from dask_gpu_k8s.api.resources import DASKCLUSTER, NAMESPACE
from dask_gpu_k8s.kube.client import KubeClient
from tests.clusters import REAL, ROOT
from tests.e2e.deploy import stories
from tests.e2e.deploy.conftest import Helm, Kubectl
from tests.e2e.deploy.stories import Stage
from tests.e2e.node import versions

pytestmark = pytest.mark.only(REAL, "LocalKubernetes runs no Deployments and enforces no Roles")

CHART = ROOT / "deploy" / "helm" / deploy.CHART


@pytest.fixture
async def kube(installed: Path) -> AsyncIterator[KubeClient]:
    """Give a client of the cluster."""
    async with KubeClient.connect(installed) as kube:
        yield kube


@pytest.fixture
async def team(kube: KubeClient) -> AsyncIterator[str]:
    """Give the test a namespace."""
    made = await kube.create(NAMESPACE, {"metadata": {"generateName": "team-"}})
    yield made["metadata"]["name"]
    await kube.delete(NAMESPACE, made["metadata"]["name"])


other_team = team


async def test_for_all_namespaces_by_kubectl(kube: KubeClient, team: str):
    stage = Stage(kube, team, OPERATOR_NAMESPACE)
    await stories.shrinks(stage)
    await stories.job_ends(Stage(kube, team, OPERATOR_NAMESPACE))


def test_the_flat_file_changes_nothing_that_the_kustomization_made(kubectl: Kubectl, installed: Path):
    said = kubectl("apply", "--dry-run=server", "-f", str(ROOT / "deploy" / "install.yaml"))
    assert [line for line in said.splitlines() if " unchanged " not in line] == []


async def test_for_one_namespace_by_kustomize(
    alone: Path, kubectl: Kubectl, kube: KubeClient, team: str, other_team: str, tmp_path: Path
):
    kubectl("-n", team, "create", "rolebinding", "boss", "--clusterrole=admin", "--user=boss")
    _until_allowed(kubectl, team, "boss", "create", "deployments.apps")
    kubectl("apply", "-k", str(_kustomization(tmp_path, team)), "--as=boss")
    await _looks_after_no_other(kubectl, kube, team, other_team)


def _is_allowed(kubectl: Kubectl, namespace: str, who: str, *what: str) -> bool:
    answer = kubectl("-n", namespace, "auth", "can-i", *what, f"--as={who}", check=False)
    return answer.startswith("yes")


def _until_allowed(kubectl: Kubectl, namespace: str, who: str, *what: str) -> None:
    """Wait for a new binding, which counts a moment later."""
    give_up = time.monotonic() + 60
    while not _is_allowed(kubectl, namespace, who, *what):
        assert time.monotonic() < give_up


def _kustomization(folder: Path, namespace: str) -> Path:
    base = os.path.relpath(ROOT / "deploy" / "namespaced", folder)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": namespace, "resources": [base]}))
    return folder


async def test_for_one_namespace_by_helm(
    alone: Path, kubectl: Kubectl, helm: Helm, kube: KubeClient, team: str, other_team: str
):
    where = ("--kubeconfig", str(alone), "-n", team)
    options = ("--set", "rbac.cluster=false", "--wait", "--timeout", "60s")
    helm("install", deploy.CHART, str(CHART), *where, *options)
    await _looks_after_no_other(kubectl, kube, team, other_team)
    helm("upgrade", deploy.CHART, str(CHART), *where, *options, "--set", "logLevel=DEBUG")
    await stories.comes_up(Stage(kube, team, team))
    helm("uninstall", deploy.CHART, *where, "--wait")
    left = kubectl("-n", team, "get", "deployments,serviceaccounts,roles,rolebindings", "-o", "name")
    assert deploy.CHART not in left
    assert "daskclusters" in kubectl("get", "crds", "-o", "name")


async def _looks_after_no_other(kubectl: Kubectl, kube: KubeClient, team: str, other_team: str) -> None:
    kubectl("-n", team, "rollout", "status", "deployment", deploy.CHART, "--timeout=60s")
    stranger = Stage(kube, other_team, team)
    await stranger.create(DASKCLUSTER, stories.cluster_spec(stranger.name, 0))
    await stories.comes_up(Stage(kube, team, team))
    assert await stranger.status(DASKCLUSTER) == {}


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (
            "view",
            ["get daskclusters", "watch daskjobs"],
            ["create daskclusters", "patch daskclusters --subresource=scale"],
        ),
        (
            "edit",
            ["create daskclusters", "delete daskworkergroups", "patch daskclusters --subresource=scale"],
            ["patch daskclusters --subresource=status"],
        ),
        ("admin", ["create daskjobs", "patch daskjobs --subresource=status"], ["escalate roles"]),
    ],
)
def test_who_may_do_what_in_a_namespace_may_do_it_with_dask(
    installed: Path, kubectl: Kubectl, role, may, may_not
):
    name = f"somebody-{role}"
    kubectl("-n", "default", "create", "rolebinding", name, f"--clusterrole={role}", f"--user={name}")
    try:
        for what in may:
            _until_allowed(kubectl, "default", name, *what.split())
        allowed = {what for what in (*may, *may_not) if _is_allowed(kubectl, "default", name, *what.split())}
    finally:
        kubectl("-n", "default", "delete", "rolebinding", name)
    assert allowed == set(may)


@pytest.mark.filterwarnings("ignore:Mismatched versions")
@pytest.mark.parametrize("role", ["edit", deploy.NOTEBOOK])
def test_whoever_may_make_clusters_can_use_kubecluster(
    installed: Path, kubectl: Kubectl, team: str, role: str
):
    kubectl("-n", team, "create", "serviceaccount", "notebook")
    kubectl("-n", team, "apply", "-k", str(ROOT / "deploy" / "notebook"))
    kind = "role" if role == deploy.NOTEBOOK else "clusterrole"
    kubectl(
        "-n",
        team,
        "create",
        "rolebinding",
        "notebook",
        f"--{kind}={role}",
        f"--serviceaccount={team}:notebook",
    )
    _until_allowed(kubectl, team, f"system:serviceaccount:{team}:notebook", "create", "daskclusters")
    config = yaml.safe_load(installed.read_text())
    config["users"][0]["user"] = {"token": kubectl("-n", team, "create", "token", "notebook").strip()}
    image = f"{versions.DASK_IMAGE}:{distributed.__version__}"
    with KubeCluster(name="ours", namespace=team, image=image, n_workers=1, kubeconfig=config) as cluster:
        cluster.wait_for_workers(1)
        assert "ours-scheduler" in " ".join(cluster.get_logs())
        cluster.add_worker_group("more", n_workers=0)
        cluster.scale(0)
        cluster.delete_worker_group("more")
        with Client(cluster) as client:
            assert client.scheduler_info()["address"]


def test_the_list_of_rights_in_the_docs_is_what_kubernetes_says(installed: Path, kubectl: Kubectl):
    account = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{deploy.CHART}"
    said = kubectl("auth", "can-i", "--list", f"--as={account}")
    text = (ROOT / "docs" / "rbac.md").read_text()
    kept = re.search(r"auth can-i --list .*?\n(.*?)```", text, re.DOTALL).group(1)
    assert _own_lines(said) == _own_lines(kept)


def _own_lines(text: str) -> set[tuple[str, ...]]:
    """Split the lines of the table, without those that every account has."""
    lines = (tuple(line.split()) for line in text.splitlines() if line.strip())
    return {line for line in lines if not line[0].startswith(("Resources", "self", "["))}


def test_the_operator_pod_runs_under_pod_security_restricted(installed: Path, kubectl: Kubectl):
    namespace = json.loads(kubectl("get", "namespace", OPERATOR_NAMESPACE, "-o", "json"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = json.loads(kubectl("-n", OPERATOR_NAMESPACE, "get", "pods", "-o", "json"))["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"]
