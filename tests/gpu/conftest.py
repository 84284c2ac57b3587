"""A Kubernetes that has this machine's own GPUs, and NVML to look at them from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pynvml
import pytest

from dask_gpu_k8s.api.manifests import crds, operator_manifests
from dask_gpu_k8s.local import LocalKubernetes
from tests import clusters
from tests.clusters import EMBEDDED, Cluster
from tests.conftest import KUBECTL, Kubernetes

SHOWN = ("dask", "dask-cuda", "cupy-cuda13x", "rmm-cu13")


@dataclass(frozen=True)
class Gpu:
    """One GPU as NVML sees it."""

    uuid: str
    name: str
    handle: Any

    def used(self) -> int:
        """Return the bytes of its memory that are taken."""
        return int(pynvml.nvmlDeviceGetMemoryInfo(self.handle).used)

    def holders(self) -> set[int]:
        """Return the ids of the processes that compute on it."""
        return {process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(self.handle)}


def find() -> list[Gpu]:
    """Find the GPUs of this machine."""
    pynvml.nvmlInit()
    handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
    return [Gpu(pynvml.nvmlDeviceGetUUID(each), pynvml.nvmlDeviceGetName(each), each) for each in handles]


def pytest_report_header() -> list[str]:
    """Say what these results are of."""
    try:
        names = ", ".join(gpu.name for gpu in find())
        machine = f"GPUs: {names or 'none'}, driver {pynvml.nvmlSystemGetDriverVersion()}"
    except pynvml.NVMLError as error:
        machine = f"GPUs: none: {error}"
    return [machine, ", ".join(f"{package} {version(package)}" for package in SHOWN)]


@pytest.fixture(scope="session")
def gpus() -> list[Gpu]:
    """Give the GPUs of this machine; whoever runs these tests where there is none is told so."""
    try:
        found = find()
    except pynvml.NVMLError as error:
        pytest.exit(f"these tests need a GPU in this machine, and NVML finds none: {error}", returncode=1)
    if not found:
        pytest.exit("these tests need a GPU in this machine: it has NVIDIA's driver, no GPU", returncode=1)
    return found


@pytest.fixture(scope="session")
def dask_cluster(gpus: list[Gpu]) -> Iterator[Cluster]:
    """Start LocalKubernetes with the operator in it, as somebody who says nothing of GPUs."""
    with LocalKubernetes(manifests=[*crds(), *operator_manifests()]) as kubernetes:
        kubeconfig = Path(kubernetes.kubeconfig)
        yield Cluster(EMBEDDED, kubeconfig, clusters.gpus_of(str(KUBECTL), kubeconfig))


@pytest.fixture
def page(kubernetes: Kubernetes) -> Iterator[dict[str, Any]]:
    """Give arguments of the page's cluster, with one worker, and wait until nothing is left of it."""
    yield {
        "name": "rapids-dask",
        "image": "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12",
        "n_workers": 1,
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "worker_command": "dask-cuda-worker",
        "kubeconfig": kubernetes.kubeconfig,
        "namespace": kubernetes.namespace,
        "quiet": True,
    }
    kubernetes.kubectl("wait", "--for=delete", "pods", "--all", "--timeout=60s")
