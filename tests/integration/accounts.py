"""Somebody with a Role of a test's own, on any Kubernetes.

On the embedded one, which enforces no Roles, a gate before the API server does.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import yaml

from dask_gpu_k8s.api.deploy import RBAC
from dask_gpu_k8s.api.types import Manifest
from tests.beside import beside
from tests.clusters import REAL
from tests.conftest import Kubernetes
from tests.integration.gate import gate_to
from tests.integration.roles import covers

NAME = "somebody"


class Account(Protocol):
    """Somebody in a test's namespace.

    Attributes
    ----------
    kubeconfig : Path
        Logs in as them; its context names the namespace.
    """

    kubeconfig: Path

    def allow(self, rules: Sequence[Manifest]) -> None:
        """Let them do this in the namespace, and nothing else."""

    def acting(self) -> Manifest:
        """Return what a Pod's spec and its only container say so that it acts as them."""


@contextlib.contextmanager
def account_in(kubernetes: Kubernetes, folder: Path) -> Iterator[Account]:
    """Make an account in a test's namespace."""
    if kubernetes.kind == REAL:
        yield ServiceAccount(kubernetes, folder)
        return
    with beside(gate_to(kubernetes.kubeconfig)) as (gate, make):
        yield Guarded(kubernetes, folder, gate, make({"token": "t"}))


class ServiceAccount:
    """A ServiceAccount with a Role."""

    def __init__(self, kubernetes: Kubernetes, folder: Path) -> None:
        self._kubernetes = kubernetes
        self._numbers = itertools.count(1)
        kubernetes.kubectl("create", "serviceaccount", NAME)
        self.name = f"{kubernetes.namespace}:{NAME}"
        kubernetes.kubectl("create", "rolebinding", NAME, f"--role={NAME}", f"--serviceaccount={self.name}")
        token = kubernetes.kubectl("create", "token", NAME).strip()
        self.kubeconfig = write(folder, yaml.safe_load(kubernetes.kubeconfig.read_text()), kubernetes, token)

    def allow(self, rules: Sequence[Manifest]) -> None:
        """Write the Role, and wait until the API server goes by it."""
        # A right of no consequence, which is new each time.
        mark = {"apiGroups": ["test"], "resources": [f"version-{next(self._numbers)}"], "verbs": ["get"]}
        role = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "Role",
            "metadata": {"name": NAME},
            "rules": [*rules, mark],
        }
        self._kubernetes.kubectl("apply", "-f", "-", stdin=json.dumps(role))
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{self.name}",
                "resourceAttributes": {
                    "group": "test",
                    "resource": mark["resources"][0],
                    "verb": "get",
                    "namespace": self._kubernetes.namespace,
                },
            },
        }
        asked = ("create", "-f", "-", "-o", "jsonpath={.status.allowed}")
        while self._kubernetes.kubectl(*asked, stdin=json.dumps(review)) != "true":
            pass

    def acting(self) -> Manifest:
        """Let the Pod run as it."""
        return {"serviceAccountName": NAME}


class Guarded:
    """Somebody whose requests pass a gate."""

    def __init__(self, kubernetes: Kubernetes, folder: Path, gate: Any, config: Manifest) -> None:
        self._namespace = kubernetes.namespace
        self._gate = gate
        self.kubeconfig = write(folder, config, kubernetes, "t")

    def allow(self, rules: Sequence[Manifest]) -> None:
        """Have the gate go by these rules."""
        self._gate.allows = lambda asked: asked.namespace == self._namespace and covers(rules, asked)

    def acting(self) -> Manifest:
        """Tell the Pod, which is a process of this machine, where the kubeconfig is."""
        return {"containers": [{"env": [{"name": "KUBECONFIG", "value": str(self.kubeconfig)}]}]}


def write(folder: Path, config: Manifest, kubernetes: Kubernetes, token: str) -> Path:
    """Write a kubeconfig with another user and the test's namespace."""
    context = config["contexts"][0]["context"]
    context["namespace"] = kubernetes.namespace
    users = [{"name": context["user"], "user": {"token": token}}]
    path = folder / "somebody.kubeconfig"
    path.write_text(json.dumps({**config, "users": users}))
    return path
