"""The node finds the GPUs of its machine and hands each to the one Pod that asked for it."""

from __future__ import annotations

import json
from pathlib import Path

from dask_gpu_k8s.local import LocalKubernetes
from tests import clusters
from tests.conftest import KUBECTL

VISIBLE = Path(__file__).parent / "visible.py"


def seen_in(kubernetes, pod: str) -> list[str]:
    """Return the ids of the GPUs that CUDA sees in a running Pod."""
    return kubernetes.kubectl("exec", pod, "--", "python", str(VISIBLE)).split()


def start(kubernetes, name: str, gpus: int) -> None:
    """Run a Pod that stays, and wait until it does."""
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    container = {"name": "c", "image": "image", "command": ["sleep", "600"], "resources": {"limits": limits}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    kubernetes.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def test_the_node_has_what_nvml_finds(kubernetes, gpus):
    assert kubernetes.gpus == len(gpus)


def test_it_has_none_that_its_starter_may_not_use(monkeypatch, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with LocalKubernetes() as hidden:
        assert clusters.gpus_of(str(KUBECTL), hidden.kubeconfig) == 0


def test_cuda_sees_what_the_pod_asked_for_and_nothing_else(kubernetes, gpus):
    start(kubernetes, "one", gpus=1)
    start(kubernetes, "none", gpus=0)
    (first,) = seen_in(kubernetes, "one")
    assert first in {gpu.uuid for gpu in gpus}
    assert seen_in(kubernetes, "none") == []

    kubernetes.kubectl("delete", "pod", "one")
    start(kubernetes, "all", gpus=len(gpus))
    assert sorted(seen_in(kubernetes, "all")) == sorted(gpu.uuid for gpu in gpus)
