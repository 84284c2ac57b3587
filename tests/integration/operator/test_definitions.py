"""Old and missing definitions are reported at the start, with no right to look at definitions."""

from __future__ import annotations

import asyncio

import pytest

from dask_gpu_k8s.api.manifests import crds
from dask_gpu_k8s.api.resources import CRD, DASKCLUSTER, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.local import LocalKubernetes
from dask_gpu_k8s.operator import definitions
from tests.integration.operator.conftest import a_cluster, eventually, running


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Look again sooner than users would notice."""
    monkeypatch.setattr(definitions, "CHECK_SECONDS", 0.2)


def old(crd):
    """Return a definition of another time."""
    parts = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for field in ("suspend", "ttl"):
        del parts["spec"]["properties"][field]
    del parts["status"]["properties"]["readyWorkers"]
    return crd


async def test_row_53_old_definitions_are_named_with_the_command_that_renews_them(caplog):
    cluster, *others = crds()
    caplog.set_level("INFO", logger=definitions.__name__)
    with LocalKubernetes(manifests=[old(cluster), *others]) as kubernetes:
        async with KubeClient.connect(kubernetes.kubeconfig) as kube, running(kube) as operator:
            await eventually(lambda: _says(caplog, "it lacks spec."))
            [line] = [record.getMessage() for record in caplog.records if "older" in record.getMessage()]
            assert "daskclusters.kubernetes.dask.org is older than this operator: it lacks spec." in line
            assert "spec.suspend" in line
            assert "spec.ttl" in line
            assert definitions.COMMAND in line
            assert 'dask_operator_definition_outdated{kind="DaskCluster"} 1' in operator.metrics.page()
            # It works all the same.
            await kube.create(DASKCLUSTER, a_cluster("foo", 1))
            await eventually(lambda: _has_pods(kube, 2))
            await eventually(lambda: _has_status(kube))
            new = crds()[0]
            await kube.patch(CRD, new["metadata"]["name"], {"spec": new["spec"]})
            await eventually(lambda: _says(caplog, "up to date."))
            assert 'dask_operator_definition_outdated{kind="DaskCluster"} 0' in operator.metrics.page()


async def test_row_53_missing_definitions_are_waited_for(caplog):
    with LocalKubernetes() as kubernetes:
        async with KubeClient.connect(kubernetes.kubeconfig) as kube, running(kube) as operator:
            await eventually(lambda: _says(caplog, "does not know daskclusters.kubernetes.dask.org, "))
            assert definitions.COMMAND in caplog.text
            assert "daskclusters" in operator.following.unsynced()
            assert operator.following.stalled() == [], "it is not to be killed for that"
            for crd in crds():
                await kube.create(CRD, crd)
            await asyncio.sleep(0)
            await eventually(lambda: _has_looked(operator), 30.0)
            await kube.create(DASKCLUSTER, a_cluster("foo", 1))
            await eventually(lambda: _has_pods(kube, 2))


async def _says(caplog, text):
    return text in caplog.text


async def _has_pods(kube, count):
    return len((await kube.list(POD))["items"]) == count


async def _has_status(kube):
    status = (await kube.get(DASKCLUSTER, "foo")).get("status", {})
    return status.get("phase") and "readyWorkers" not in status


async def _has_looked(operator):
    return operator.following.unsynced() == []
