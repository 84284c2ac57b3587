"""The page word for word on a real Kubernetes: images, Services, DNS, from outside and from a Pod."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dask_gpu_k8s.api.manifests import OPERATOR_IMAGE
from tests.conftest import Kubernetes
from tests.e2e.node import versions
from tests.integration.scenarios.test_page_python import CREATE, USE

THE_PAGE = (Path(__file__).parents[1] / "unit" / "cluster" / "golden" / "the_page.yaml").read_text()
NAME = "rapids-dask-cluster"
SERVICES = {"ClusterIP": "port-forward", "NodePort": "node-port", "LoadBalancer": "load-balancer"}

pytestmark = pytest.mark.only("real", "images, cluster DNS and Service types are what it is about")


def apply(kubernetes: Kubernetes, manifest: str) -> None:
    kubernetes.kubectl("apply", "-f", "-", stdin=manifest)
    for what in ("condition=Ready", "jsonpath={.status.readyWorkers}=2"):
        kubernetes.kubectl("wait", f"--for={what}", f"daskcluster/{NAME}", "--timeout=90s", timeout=100)


def run_in_pod(kubernetes: Kubernetes, image: str, program: str) -> str:
    """Run a Python program in a Pod to its end; return what it printed."""
    container = {"name": "client", "image": image, "command": ["python3", "-c", program]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}}
    spec = {"restartPolicy": "Never", "containers": [container]}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps({**pod, "spec": spec}))
    kubernetes.kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}",
                       "pod/client", "--timeout=120s", timeout=130)  # fmt: skip
    code = kubernetes.kubectl(
        "get", "pod/client", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"
    )
    printed = kubernetes.kubectl("logs", "client")
    assert code == "0", printed
    return printed


@contextlib.contextmanager
def port_forward(kubernetes: Kubernetes) -> Iterator[None]:
    """Run the page's port-forward, from the line that says it listens until the end of the block."""
    process = subprocess.Popen(
        kubernetes.command("port-forward", f"svc/{NAME}-service", "8786:8786"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kubernetes.environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "Forwarding from 127.0.0.1:8786 -> 8786\n"
        yield
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_the_manifest_as_printed(kubernetes):
    apply(kubernetes, THE_PAGE)

    header, row = kubernetes.kubectl("get", "daskclusters").splitlines()
    assert header.split()[0] == "NAME"
    assert header.split()[-1] == "AGE"
    assert row.split()[0] == NAME

    listing = kubernetes.kubectl("get", "all", "-l", f"dask.org/cluster-name={NAME}")
    pods = re.findall(r"^pod/(\S+) +1/1 +Running +0 ", listing, re.MULTILINE)
    workers = [
        one for one in pods if re.fullmatch(rf"{NAME}-default-worker-group-worker-[0-9a-f]{{10}}", one)
    ]
    assert sorted(set(pods) - set(workers)) == [f"{NAME}-scheduler"]
    assert len(workers) == 2
    services = re.findall(
        r"^service/(\S+) +ClusterIP +[\d.]+ +<none> +8786/TCP,8787/TCP", listing, re.MULTILINE
    )
    assert sorted(services) == [f"{NAME}-scheduler", f"{NAME}-service"]

    inside = (
        "from dask.distributed import Client\n"
        f'client = Client("{NAME}-scheduler:8786")\n'
        'print("computed", client.submit(sum, [1, 2, 3]).result(timeout=60))\n'
    )
    assert "computed 6" in run_in_pod(kubernetes, versions.RAPIDS_IMAGE, inside)

    with port_forward(kubernetes):
        outside = inside.replace(f"{NAME}-scheduler:8786", "localhost:8786")
        assert "computed 6" in kubernetes.python(outside).stdout


def test_the_manifest_on_a_dask_without_dask_scheduler(kubernetes):
    apply(kubernetes, THE_PAGE.replace(versions.RAPIDS_IMAGE, versions.NEWEST_RAPIDS_IMAGE))
    program = (
        "import sys, dask.distributed as dd\n"
        "print(dd.__version__, dd.Client(sys.argv[1]).submit(sum, [1]).result())"
    )
    address = f"{NAME}-scheduler:8786"
    printed = kubernetes.kubectl("exec", f"{NAME}-scheduler", "--", "python3", "-c", program, address)
    assert printed.split() == [versions.NEWEST_DASK, "1"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_manifests_service_types(kubernetes, service):
    """The Service `<name>-scheduler` is of the type asked for, `<name>-service` stays a ClusterIP."""
    apply(kubernetes, THE_PAGE.replace("type: ClusterIP", f"type: {service}"))
    types = kubernetes.kubectl(
        "get", "svc", "-o", "jsonpath={range .items[*]}{.metadata.name}={.spec.type} {end}"
    )
    assert sorted(types.split()) == [f"{NAME}-scheduler={service}", f"{NAME}-service=ClusterIP"]
    program = f"""
import logging
logging.basicConfig(level=logging.INFO)
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster
cluster = KubeCluster.from_name("{NAME}")
with Client(cluster) as client:
    print("computed", client.submit(sum, [1, 2, 3]).result(timeout=60))
cluster.close()
"""
    if service == "LoadBalancer":
        address = "jsonpath={.status.loadBalancer.ingress[0].ip}"
        kubernetes.kubectl("wait", f"--for={address}", f"svc/{NAME}-scheduler", "--timeout=60s")
    done = kubernetes.python(program)
    assert "computed 6" in done.stdout
    assert f"({SERVICES[service]})" in done.stderr, done.stderr


def test_the_python_text_from_a_pod(kubernetes):
    """In a Pod whose account has the role `edit`, with an image that has our wheel and the page's Dask."""
    kubernetes.kubectl(
        "create",
        "rolebinding",
        "notebook",
        "--clusterrole=edit",
        f"--serviceaccount={kubernetes.namespace}:default",
    )
    image = f"{project_image()}-dask{versions.OLDEST_DASK}"
    text = "import logging\nlogging.basicConfig(level=logging.INFO)\n" + CREATE + USE
    end = "client.wait_for_workers(3)\ncluster.scale(5)\nclient.wait_for_workers(5)\ncluster.close()\n"
    printed = run_in_pod(kubernetes, image, text + end)
    assert "(direct)" in printed
    assert kubernetes.kubectl("get", "daskclusters", "-o", "name").split() == []


def project_image() -> str:
    from dask_gpu_k8s.api.manifests import operator_manifests

    pod = operator_manifests()[-1]
    image: str = pod["spec"]["containers"][0]["image"]
    assert image.startswith(OPERATOR_IMAGE)
    return image
