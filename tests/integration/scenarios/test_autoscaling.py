"""Autoscalers on clusters that work: they grow, shrink to nothing and never lose a result."""

from __future__ import annotations

import json
import re
from typing import Any

import distributed
import pytest

from tests.clusters import REAL
from tests.conftest import Kubernetes

IMAGE = f"ghcr.io/dask/dask:{distributed.__version__}"
PORTS = [{"name": "tcp-comm", "containerPort": 8786}, {"name": "http-dashboard", "containerPort": 8787}]


def a_worker(replicas: int, *options: str) -> dict[str, Any]:
    words = ["dask", "worker", "--nthreads", "1", "--name", "$(DASK_WORKER_NAME)", *options]
    container = {"name": "worker", "image": IMAGE, "args": words}
    return {"replicas": replicas, "spec": {"containers": [container]}}


def an_object(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "kubernetes.dask.org/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def a_cluster(name: str, replicas: int = 0) -> dict[str, Any]:
    container = {
        "name": "scheduler",
        "image": IMAGE,
        "args": ["dask", "scheduler"],
        "ports": PORTS,
        "readinessProbe": {"tcpSocket": {"port": "tcp-comm"}, "periodSeconds": 1},
    }
    service = {
        "type": "ClusterIP",
        "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
        "ports": [{"name": "tcp-comm", "port": 8786, "targetPort": "tcp-comm"}],
    }
    scheduler = {"spec": {"containers": [container]}, "service": service}
    return an_object("DaskCluster", name, worker=a_worker(replicas), scheduler=scheduler)


def a_group(name: str, cluster: str, worker: dict[str, Any]) -> dict[str, Any]:
    return an_object("DaskWorkerGroup", name, cluster=cluster, worker=worker)


def an_autoscaler(name: str, cluster: str, maximum: int, minimum: int = 0, **more: Any) -> dict[str, Any]:
    quick = {"scaleDown": {"stabilizationWindowSeconds": 2}}
    bounds = {"minimum": minimum, "maximum": maximum}
    return an_object("DaskAutoscaler", name, cluster=cluster, **{**bounds, **quick, **more})


def apply(kubernetes: Kubernetes, *objects: dict[str, Any]) -> None:
    kubernetes.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))


def wait(kubernetes: Kubernetes, what: str, path: str, value: object, seconds: int = 60) -> None:
    words = ["wait", f"--for=jsonpath={{{path}}}={value}", what, f"--timeout={seconds}s"]
    kubernetes.kubectl(*words, timeout=seconds + 10)


def scalings(kubernetes: Kubernetes) -> str:
    """Return what autoscalers have said about changes of size."""
    return kubernetes.kubectl("get", "events", "-o", "jsonpath={.items[?(@.reason=='Scaled')].message}")


USE = """
import json, sys, time
from dask.distributed import Client, get_worker, wait
from dask_gpu_k8s import KubeCluster

def ran(x, seconds):
    time.sleep(seconds)
    get_worker().log_event("ran", (x, get_worker().name))
    return bytes([x]) * 10_000

def runs(client):
    return sorted(run for _, run in client.get_events("ran"))

cluster = KubeCluster.from_name(sys.argv[1], quiet=True)
client = Client(cluster)
"""

GPUS = f"""{USE}
futures = client.map(ran, range(6), seconds=1, resources={{"GPU": 1}}, pure=False)
assert [result[0] for result in client.gather(futures)] == list(range(6))
assert [x for x, _ in runs(client)] == list(range(6)), "something was computed twice"
print(json.dumps(sorted({{name.partition("-worker-group")[0] for _, name in runs(client)}})))
"""


def test_row_15_gpu_tasks_grow_only_the_gpu_group(kubernetes):
    """Both groups are at 0 and autoscaled; and the GPU group goes back to 0 by itself."""
    apply(
        kubernetes,
        a_cluster("mixed"),
        a_group("mixed-gpu", "mixed", a_worker(0, "--resources", "GPU=1")),
        an_autoscaler("mixed-cpus", "mixed", 3),
        an_autoscaler("mixed-gpus", "mixed", 2, workerGroup="mixed-gpu"),
    )
    done = kubernetes.python(GPUS, "mixed", timeout=90)
    assert json.loads(done.stdout) == ["mixed-gpu"]
    assert "WorkMeasured" in kubernetes.kubectl("get", "daskautoscalers", "-o", "yaml")
    wait(kubernetes, "daskworkergroup/mixed-gpu", ".status.replicas", 0)
    assert "mixed-gpu" in scalings(kubernetes)
    assert "mixed-default" not in scalings(kubernetes), "the CPU group has grown"


REANA = f"""{USE}
futures = client.map(ran, range(30), seconds=0.5, pure=False)
most = 0
while not all(future.done() for future in futures):
    most = max(most, len(client.scheduler_info(n_workers=-1)["workers"]))
    time.sleep(0.1)
assert 1 <= most <= 2, most
assert [x for x, _ in runs(client)] == list(range(30)), "something was computed twice"
"""


def test_row_29_reana_from_0_to_its_maximum_and_back_to_0(kubernetes):
    """Workers arrive, never more than the maximum, and go; the autoscaler has a name of its own.

    Then the cluster is deleted, and after it the autoscaler, which is still there or goes by itself.
    """
    apply(kubernetes, a_cluster("reana-run"), an_autoscaler("autoscaler-of-run", "reana-run", 2))
    kubernetes.python(REANA, "reana-run", timeout=90)
    wait(kubernetes, "daskcluster/reana-run", ".status.replicas", 0)
    wait(kubernetes, "daskautoscaler/autoscaler-of-run", ".status.desiredReplicas", 0)
    kubernetes.kubectl("delete", "daskcluster", "reana-run")
    kubernetes.kubectl("wait", "--for=delete", "daskautoscaler/autoscaler-of-run", "--timeout=30s")


FLAPPING = f"""{USE}
kept = []
for number in range(4):
    # Much, then little: with results of each round kept in memory, which nobody else has.
    tasks = 30 if number % 2 == 0 else 6
    kept += client.map(ran, range(30 * number, 30 * number + tasks), seconds=0.5, pure=False)
    wait(kept)
values = [result[0] for result in client.gather(kept)]
assert [x for x, _ in runs(client)] == sorted(values), "something was computed twice"
print(len(values))
"""


def test_row_2_load_that_comes_and_goes_recomputes_nothing(kubernetes):
    """Results are kept in memory while the group grows and shrinks under them."""
    apply(kubernetes, a_cluster("tide"), an_autoscaler("tide", "tide", 3, minimum=1))
    kubernetes.kubectl("wait", "--for=create", "daskworkergroup/tide-default", "--timeout=60s")
    wait(kubernetes, "daskworkergroup/tide-default", ".spec.worker.replicas", 1)
    done = kubernetes.python(FLAPPING, "tide", timeout=110)
    assert int(done.stdout) == 72
    wait(kubernetes, "daskworkergroup/tide-default", ".spec.worker.replicas", 1)
    # How much work is left when it is looked for depends on the machine.
    assert re.search(r": [23] instead of 1\.", scalings(kubernetes))


@pytest.mark.only(REAL, "the embedded Kubernetes has no HorizontalPodAutoscaler")
def test_a_horizontal_pod_autoscaler_scales_a_group(kubernetes):
    """It knows no metrics here, and holds its minimum all the same, by the scale subresource."""
    apply(kubernetes, a_cluster("measured", 1))
    kubernetes.kubectl("wait", "--for=create", "daskworkergroup/measured-default", "--timeout=60s")
    wait(kubernetes, "daskworkergroup/measured-default", ".status.replicas", 1)
    kubernetes.kubectl(
        "autoscale", "daskworkergroup", "measured-default", "--min=2", "--max=3", "--cpu-percent=80"
    )
    wait(kubernetes, "daskworkergroup/measured-default", ".status.replicas", 2)
    wait(kubernetes, "hpa/measured-default", ".status.currentReplicas", 2)
