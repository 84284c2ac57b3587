"""A Kubernetes without any operator, for what the node does with Pods as such."""

from __future__ import annotations

import itertools
import json
import textwrap
from collections.abc import Iterator

import pytest

from dask_gpu_k8s.local import LocalKubernetes
from tests.conftest import Kubernetes

_numbers = itertools.count(1)


class Cluster(Kubernetes):
    """What these tests ask of a cluster."""

    def apply(self, *objects) -> None:
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))

    def run(self, *command, name="p", container=None, meta=None, **spec) -> str:
        """Create a Pod that runs a command; return its name."""
        only = {"name": "c", "image": "image", "command": list(command), **(container or {})}
        self.apply(pod(name, {"containers": [only], **spec}, **(meta or {})))
        return name

    def get(self, name: str, kind: str = "pod"):
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def wait(self, what: str, name: str = "p", seconds: int = 20) -> None:
        """Wait for a condition, or for a JSON path with its value."""
        wanted = f"jsonpath={what}" if what.startswith("{") else f"condition={what}"
        self.kubectl("wait", f"--for={wanted}", f"pod/{name}", f"--timeout={seconds}s", timeout=seconds + 10)

    def events(self, name: str = "p") -> list[tuple[str, str]]:
        """Return reason and message of a Pod's events, oldest first."""
        selector = f"--field-selector=involvedObject.name={name}"
        found = json.loads(self.kubectl("get", "events", selector, "-o", "json"))["items"]
        return [(event["reason"], event["message"]) for event in found]


def pod(name, spec, **meta):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **meta}, "spec": spec}


def service(name, *, selector, port, target, **spec):
    ports = [{"port": port, "targetPort": target}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": ports, **spec},
    }


def python(text: str) -> list[str]:
    return ["python", "-u", "-c", textwrap.dedent(text)]


@pytest.fixture(scope="package")
def running() -> Iterator[LocalKubernetes]:
    with LocalKubernetes(gpus=2, cpus=64) as kubernetes:
        yield kubernetes


@pytest.fixture
def cluster(running: LocalKubernetes) -> Iterator[Cluster]:
    cluster = Cluster(running.kubeconfig, f"node-{next(_numbers)}")
    cluster.kubectl("create", "namespace", cluster.namespace)
    yield cluster
    cluster.kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false")
    cluster.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
