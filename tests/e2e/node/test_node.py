"""The node itself: what a real Kubernetes must offer before tests of the project mean anything."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.node import Node, images, versions

POD = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}
CONTAINER = {
    "name": "main",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
}
NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}
PORTS = [{"name": "tcp", "port": 8786}, {"name": "http", "port": 8787}]

pytestmark = pytest.mark.xdist_group("node")  # its tests share a node of their own


def pod(name: str, image: str, *command: str, limits: "dict[str, str] | None" = None) -> dict[str, Any]:
    container = {**CONTAINER, "image": image, "command": list(command), "resources": {"limits": limits or {}}}
    metadata = {"name": name, "namespace": "strict", "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**POD, "containers": [container]},
    }


def service(name: str, kind: str, **more: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "strict"}
    spec = {"type": kind, "selector": {"app": "scheduler"}, "ports": PORTS, **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


class Kubectl:
    """kubectl on the node, in the namespace of this test."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        command = ["kubectl", "--kubeconfig", str(self.node.kubeconfig), "-n", "strict", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        )


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with Node() as node:
        kubectl = Kubectl(node)
        own = images.standard()[-1].names[-1]
        kubectl.apply(NAMESPACE)
        kubectl.apply(
            pod("scheduler", own, "dask", "scheduler"),
            pod("worker", own, "dask", "worker", "tcp://cluster-ip:8786"),
            pod("gpus", versions.RAPIDS_IMAGE, "sleep", "inf", limits={"nvidia.com/gpu": str(versions.GPUS)}),
            service("cluster-ip", "ClusterIP"),
            service("node-port", "NodePort"),
            service("load-balancer", "LoadBalancer"),
            service("never", "LoadBalancer", loadBalancerClass="example.com/nobody"),
        )
        kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=90s")
        answers = (
            "import urllib.request as u; print(u.urlopen('http://cluster-ip:8787/health').read().decode())"
        )
        # Running is not yet listening.
        kubectl("exec", "scheduler", "--", "sh", "-c", f'until python -c "{answers}"; do sleep 0.2; done')
        yield kubectl


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_pod_finds_a_service_by_name(kubectl: Kubectl) -> None:
    assert kubectl("exec", "worker", "--", "wget", "-qO-", "http://cluster-ip.strict.svc:8787/health") == "ok"


def test_logs(kubectl: Kubectl) -> None:
    assert "Scheduler at:" in kubectl("logs", "scheduler")


def test_a_node_port_from_this_machine(kubectl: Kubectl) -> None:
    port = kubectl("get", "service", "node-port", "-o", "jsonpath={.spec.ports[1].nodePort}")
    assert get(f"http://{kubectl.node.address}:{port}/health") == "ok"


def test_a_load_balancer_from_this_machine(kubectl: Kubectl) -> None:
    kubectl("wait", "service/load-balancer", "--for=jsonpath={.status.loadBalancer.ingress}", "--timeout=20s")
    address = kubectl(
        "get", "service", "load-balancer", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"
    )
    assert get(f"http://{address}:8787/health") == "ok"


def test_a_load_balancer_of_nobody_waits(kubectl: Kubectl) -> None:
    assert kubectl("get", "service", "never", "-o", "jsonpath={.status.loadBalancer.ingress}") == ""


def test_port_forward(kubectl: Kubectl) -> None:
    command = ["kubectl", "--kubeconfig", str(kubectl.node.kubeconfig), "-n", "strict", "port-forward"]
    with subprocess.Popen([*command, "pod/scheduler", ":8787"], stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            port = forward.stdout.readline().split(":")[1].split()[0]
            assert get(f"http://127.0.0.1:{port}/health") == "ok"
        finally:
            forward.terminate()


def test_gpus_are_given_once(kubectl: Kubectl) -> None:
    kubectl.apply(pod("more", versions.RAPIDS_IMAGE, "sleep", "inf", limits={"nvidia.com/gpu": "1"}))
    try:
        kubectl("wait", "pod/more", "--for=condition=PodScheduled=False", "--timeout=20s")
        assert "Insufficient nvidia.com/gpu" in kubectl(
            "get", "pod", "more", "-o", "jsonpath={.status.conditions}"
        )
    finally:
        kubectl("delete", "pod", "more", "--grace-period=0")


def test_the_root_file_system_is_read_only(kubectl: Kubectl) -> None:
    command = "id -u; if touch /x; then exit 1; fi"
    assert kubectl("exec", "scheduler", "--", "sh", "-c", command) == "1000\n"


def test_memory_is_limited(kubectl: Kubectl) -> None:
    own = images.standard()[-1].names[-1]
    hungry = pod("hungry", own, "python", "-c", "bytearray(200 << 20)", limits={"memory": "64Mi"})
    kubectl.apply({**hungry, "spec": {**hungry["spec"], "restartPolicy": "Never"}})
    kubectl("wait", "pod/hungry", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
    reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    assert kubectl("get", "pod", "hungry", "-o", reason) == "OOMKilled"
