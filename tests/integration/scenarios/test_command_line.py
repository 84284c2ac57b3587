"""`python -m dask_gpu_k8s.local`, as a person runs it: the KUBECONFIG it prints is all that kubectl needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dask_gpu_k8s import api
from tests.conftest import EXAMPLES, Kubernetes

THE_PAGE = Path(__file__).parents[2] / "unit" / "cluster" / "golden" / "the_page.yaml"


def test_the_printed_kubeconfig_leads_to_a_kubernetes_with_an_operator():
    command = [sys.executable, "-m", "dask_gpu_k8s.local", "--gpus", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        word, _, path = program.stdout.readline().strip().partition("=")
        assert word == "export KUBECONFIG"
        kubeconfig = Path(path)
        assert kubeconfig.stat().st_mode & 0o777 == 0o600, "who can read it can start processes"
        kubernetes = Kubernetes(kubeconfig, "default")
        kubernetes.kubectl("apply", "-f", str(EXAMPLES / "rapids-dask-cluster.yaml"))
        ready = ("wait", "--for=condition=Ready", "daskcluster/rapids-dask-cluster", "--timeout=60s")
        kubernetes.kubectl(*ready, timeout=70)
        program.terminate()
        assert program.wait(30) == 0
    assert not kubeconfig.exists()


def test_without_the_operator_the_resources_are_there_and_nobody_acts():
    command = [sys.executable, "-m", "dask_gpu_k8s.local", "--no-operator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        kubernetes = Kubernetes(Path(program.stdout.readline().strip().partition("=")[2]), "default")
        kubernetes.kubectl("apply", "-f", str(EXAMPLES / "rapids-dask-cluster.yaml"))
        pods = kubernetes.kubectl("get", "pods", "--all-namespaces", "-o", "name").split()
        program.terminate()
        program.wait(30)
    assert pods == []


def test_the_pages_manifest_to_the_letter(kubernetes):
    """Its `dask-scheduler` left Dask, and its `dask-cuda-worker` stands in for GPUs: it runs unchanged."""
    kubernetes.kubectl("apply", "-f", str(THE_PAGE))
    kubernetes.kubectl("wait", "--for=jsonpath={.status.readyWorkers}=2", "daskcluster/rapids-dask-cluster",
                       "--timeout=60s", timeout=70)  # fmt: skip
    pods = json.loads(kubernetes.kubectl("get", "pods", "-o", "json"))["items"]
    args = {pod["spec"]["containers"][0]["name"]: pod["spec"]["containers"][0]["args"] for pod in pods}
    assert args["scheduler"] == ["dask", "scheduler"]
    assert args["worker"] == ["dask-cuda-worker", "--name", "$(DASK_WORKER_NAME)"]


def test_plain_apply_takes_the_custom_resource_definitions(kubernetes):
    """It keeps each as a whole in an annotation; nothing is left to be changed after that."""
    folder = Path(api.__file__).parent / "crds"
    kubernetes.kubectl("apply", "-f", str(folder))
    again = kubernetes.kubectl("apply", "-f", str(folder)).splitlines()
    assert [line.split()[-1] for line in again] == ["unchanged"] * 4
