"""The kinds of Kubernetes that tests run on, and the table that compares them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dask_gpu_k8s.api import deploy
from dask_gpu_k8s.api.manifests import OPERATOR_NAMESPACE, crds, operator_manifests

ROOT = Path(__file__).parent.parent
EMBEDDED, REAL = "embedded", "real"
API_ALONE = "api-"
"""Begins the name of an API server without controllers and nodes; a release follows: ``api-1.31.14``."""


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes in which our operator runs.

    Attributes
    ----------
    kind : str
        ``"embedded"`` or ``"real"``.
    kubeconfig : Path
    gpus : int
        How many ``nvidia.com/gpu`` it has.
    """

    kind: str
    kubeconfig: Path
    gpus: int


@contextlib.contextmanager
def embedded(stand_ins: Path) -> Iterator[Cluster]:
    """Start LocalKubernetes with the operator in it."""
    from dask_gpu_k8s.local import LocalKubernetes

    with LocalKubernetes(manifests=[*crds(), *operator_manifests()], gpus=5, path=[stand_ins]) as kubernetes:
        yield Cluster(EMBEDDED, Path(kubernetes.kubeconfig), 5)


@contextlib.contextmanager
def real() -> Iterator[Path]:
    """Take the cluster that ``DASK_K8S_E2E_KUBECONFIG`` names, else start a node; yield its kubeconfig."""
    if given := os.environ.get("DASK_K8S_E2E_KUBECONFIG"):
        yield Path(given)
        return
    from tests.e2e.node import Node

    with Node() as node:
        yield node.kubeconfig


@contextlib.contextmanager
def api_alone(kind: str) -> Iterator[Path]:
    """Start etcd and the API server of the release that the kind names; yield its kubeconfig."""
    from tests.e2e.node import ControlPlane

    with ControlPlane(kind.removeprefix(API_ALONE)) as server:
        yield server.kubeconfig


def install_operator(kubectl: str, kubeconfig: Path) -> None:
    """Install the operator for all namespaces, as a user would, and wait until it is ready."""
    for words in (
        ["apply", "-k", str(ROOT / "deploy" / "cluster")],
        ["-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment", deploy.CHART, "--timeout=120s"],
    ):
        command = [kubectl, "--kubeconfig", str(kubeconfig), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}")


def gpus_of(kubectl: str, kubeconfig: Path) -> int:
    """Count the GPUs of all nodes."""
    path = r"jsonpath={.items[*].status.allocatable.nvidia\.com/gpu}"
    command = [kubectl, "--kubeconfig", str(kubeconfig), "get", "nodes", "-o", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return sum(map(int, done.stdout.split()))


@dataclass
class Comparison:
    """Seconds of every scenario on every kind of cluster, as a table at the end of a run."""

    kinds: list[str]
    seconds: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    alone: dict[str, str] = field(default_factory=dict)
    """Scenarios that run on one kind, with the reason."""
    notes: list[str] = field(default_factory=list)
    """What tests want said at the end: ``record_property("note", ...)``."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Tests that an API server alone cannot pass, with what they need."""

    def add(self, report: Any) -> None:
        """Take note of a phase of a test."""
        nodeid = report.nodeid.partition("@")[0]  # a group follows, where tests run side by side
        if alone := getattr(report, "only", None):
            self.alone[nodeid.removeprefix("tests/").partition("[")[0]] = alone
        self.notes += [
            value for key, value in report.user_properties if key == "note" and report.when == "call"
        ]
        name, bracket, parameters = nodeid.partition("[")
        given = f"-{parameters.removesuffix(']')}-"
        kind = next((kind for kind in self.kinds if f"-{kind}-" in given), None)
        if not bracket or kind is None:
            return
        rest = given.replace(f"-{kind}-", "-", 1)[1:-1]
        scenario = name.removeprefix("tests/") + (f"[{rest}]" if rest else "")
        times = self.seconds[scenario]
        times[kind] = times.get(kind, 0.0) + report.duration

    def lines(self) -> Iterator[str]:
        """Write the table and the counts; of one kind, only what was left out."""
        if len(self.kinds) > 1:
            yield from self._table()
        for scenario, reason in sorted(self.alone.items()):
            yield f"on one alone: {scenario}: {reason}"
        yield from self.notes
        if self.left_out:
            yield f"left out on an API server alone: {len(self.left_out)}"
        for test, need in sorted(self.left_out.items()):
            yield f"    {test}: {need}"

    def _table(self) -> Iterator[str]:
        width = max(map(len, self.seconds), default=0)
        yield "  ".join([f"{'scenario':{width}}", *(f"{kind:>11}" for kind in self.kinds)])
        for scenario, times in sorted(self.seconds.items()):
            cells = [f"{times[kind]:11.2f}" if kind in times else f"{'-':>11}" for kind in self.kinds]
            yield "  ".join([f"{scenario:{width}}", *cells])
        everywhere = [scenario for scenario, times in self.seconds.items() if len(times) == len(self.kinds)]
        contract = sum("/scenarios/" not in scenario for scenario in everywhere)
        where = "both" if len(self.kinds) == 2 else f"all {len(self.kinds)}"
        yield f"on {where}: {len(everywhere) - contract} scenarios, {contract} contract tests of the API"
