"""What a start that fails says, and that it leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import warnings

import pytest
from distributed.core import Server
from distributed.versions import VersionMismatchWarning, get_versions

from dask_gpu_k8s import KubeCluster, make_cluster_spec
from dask_gpu_k8s.api.manifests import OPERATOR_COMMAND, crds, operator_manifests
from dask_gpu_k8s.cluster import line, wait
from dask_gpu_k8s.cluster.line import open_comm
from dask_gpu_k8s.errors import (
    ClusterNotFound,
    CRDsMissing,
    InvalidArgument,
    NoKubernetes,
    OperatorNotFound,
    VersionMismatch,
)
from dask_gpu_k8s.local import LocalKubernetes


def test_an_unknown_name(settings):
    with pytest.raises(ClusterNotFound, match=r"/demo: there is no cluster of that name\. See which"):
        KubeCluster.from_name(**settings)


def test_an_unknown_namespace(settings):
    settings["namespace"] = "nowhere"
    with pytest.raises(InvalidArgument, match=r'namespaces "nowhere" not found. Create the namespace'):
        KubeCluster(**settings)


def test_kubernetes_does_not_answer(settings):
    before = threading.active_count()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings["kubeconfig"] = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{taken.getsockname()[1]}"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        with pytest.raises(NoKubernetes, match=r"/demo: the API server does not answer"):
            KubeCluster(**settings)
    assert threading.active_count() == before


def test_an_image_that_only_the_server_finds_wrong(settings, clusters):
    """What passes our own checks and not the server's is still said in one sentence."""
    spec = make_cluster_spec("demo", "dask")
    spec["metadata"]["labels"] = {"team": "not a label!"}
    del settings["name"]
    with pytest.raises(InvalidArgument, match="not a label!"):
        KubeCluster(custom_cluster_spec=spec, **settings)
    assert clusters() == []


@pytest.fixture(scope="module")
def bare():
    """A Kubernetes without custom resources and operator; the resources are added by a test."""
    with LocalKubernetes() as kubernetes:
        yield kubernetes


def test_no_custom_resources_then_no_operator(bare, monkeypatch):
    settings = {"kubeconfig": bare.kubeconfig, "namespace": "default", "name": "demo"}
    with pytest.raises(CRDsMissing, match=r"does not know the custom resources .* dask_gpu_k8s.local`"):
        KubeCluster(**settings)
    create(bare, crds())
    monkeypatch.setattr(wait, "OPERATOR_SECONDS", 0.5)
    with pytest.raises(OperatorNotFound, match=r"no operator has .* none is installed\. Somebody"):
        KubeCluster(**settings)
    with pytest.raises(ClusterNotFound):
        KubeCluster.from_name(**settings)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ([*OPERATOR_COMMAND, "-n", "elsewhere"], "serves other namespaces only: elsewhere"),
        (
            ["python", "-c", "import time; print('patch is forbidden', flush=True); time.sleep(60)"],
            r"runs and serves 'default', but may be hindered; its log says: patch is forbidden\.",
        ),
        (["no-such-program"], r"is not ready \(StartError\): container operator cannot be started"),
    ],
)
def test_an_operator_that_does_not_see_it(monkeypatch, command, why):
    # Less than the 10 s after which a container that cannot be started is tried again.
    monkeypatch.setattr(wait, "OPERATOR_SECONDS", 8)
    with LocalKubernetes(manifests=[*crds(), *operator_manifests(command=command)]) as kubernetes:
        settings = {"kubeconfig": kubernetes.kubeconfig, "namespace": "default", "name": "demo"}
        with pytest.raises(OperatorNotFound, match=f"the operator in Pod dask-operator/dask-operator {why}"):
            KubeCluster(**settings)


def test_definitions_that_are_older_than_this_package():
    """Where nobody acts on them, and where they refuse what this package writes."""
    definitions = crds()
    version = next(
        each["spec"]["versions"][0] for each in definitions if each["spec"]["names"]["kind"] == "DaskCluster"
    )
    del version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["idleTimeout"]
    with LocalKubernetes(manifests=definitions) as kubernetes:
        settings = {"kubeconfig": kubernetes.kubeconfig, "namespace": "default", "name": "demo"}
        with pytest.raises(CRDsMissing, match=r'older than this package: it refuses .*"spec\.idleTimeout"'):
            KubeCluster(idle_timeout=60, **settings)


def create(kubernetes, manifests) -> None:
    """Create cluster-wide objects, and wait until they are served."""
    from dask_gpu_k8s.api.resources import CRD, DASKCLUSTER
    from dask_gpu_k8s.kube.client import KubeClient
    from dask_gpu_k8s.kube.errors import NotFound

    async def main() -> None:
        async with KubeClient.connect(kubernetes.kubeconfig) as kube:
            for manifest in manifests:
                await kube.create(CRD, manifest)
            while True:
                try:
                    await kube.list(DASKCLUSTER, "default")
                    return
                except NotFound:
                    await asyncio.sleep(0.05)

    asyncio.run(main())


async def test_a_start_that_is_cancelled(settings, kubernetes, clusters):
    cluster = KubeCluster(
        scheduler_resources={"limits": {"nvidia.com/gpu": 99}}, asynchronous=True, **settings
    )
    start = asyncio.ensure_future(cluster._started())
    await asyncio.to_thread(kubernetes.kubectl, "wait", "--for=create", "daskcluster/demo", "--timeout=30s")
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert await asyncio.to_thread(clusters) == []
    assert cluster.status.name == "closed"


@pytest.fixture
async def scheduler_with():
    """Make a scheduler that has nothing but versions, of which some differ from ours; give its address."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**packages):
            async def versions(comm=None):
                return {"packages": {**get_versions()["packages"], **packages}}

            server = await stack.enter_async_context(Server({"versions": versions}))
            await server.listen("tcp://127.0.0.1:0")
            return server.address

        yield start


async def test_row_46_a_scheduler_of_a_version_that_cannot_talk(scheduler_with, monkeypatch):
    """The page's image has distributed 2025.2.0, which newer clients cannot talk to."""
    monkeypatch.setattr(line, "get_versions", lambda: {"packages": {"distributed": "2026.8.0"}})
    with pytest.raises(VersionMismatch, match=r"distributed 2026.8.0 here cannot .* 2025.2.0 on"):
        await open_comm(await scheduler_with(distributed="2025.2.0"), "demo")


async def test_row_46_an_image_with_another_python_is_warned_of_once(scheduler_with):
    address = await scheduler_with(python="2.7.18.final.0", numpy="0")
    with pytest.warns(VersionMismatchWarning) as caught:
        comm = await open_comm(address, "DaskCluster default/demo")
    await comm.close_rpc()
    (warning,) = caught
    said = "default/demo: this process and the image of its scheduler have different versions: python "
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"{said}{here} here and 2.7 there." in str(warning.message)


async def test_row_46_an_image_with_the_same_versions_is_not(scheduler_with):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comm = await open_comm(await scheduler_with(), "demo")
    await comm.close_rpc()
