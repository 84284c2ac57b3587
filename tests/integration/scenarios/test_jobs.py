"""A DaskJob as Flyte writes it: its cluster comes up, its runner computes, the cluster goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

RUN = """
from dask.distributed import Client, get_worker

with Client() as client:
    print("sum", client.submit(sum, [1, 2, 3]).result(timeout=60))
    print("on", client.submit(lambda: get_worker().name).result(timeout=60))
"""
IMAGE = "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12"
SELECTOR = "dask.org/cluster-name=fly"


def a_job(*command: str, name: str = "fly") -> dict[str, Any]:
    """What Flyte's Go structures become: empty parts, old commands, a dashboard port of another name."""
    ports = [{"name": "tcp-comm", "port": 8786}, {"name": "dashboard", "port": 8787}]
    open_ports = [{"name": port["name"], "containerPort": port["port"]} for port in ports]
    scheduler = {
        "name": "scheduler",
        "image": IMAGE,
        "args": ["dask-scheduler"],
        "ports": open_ports,
        "resources": {},
        "readinessProbe": {"httpGet": {"port": "dashboard"}, "periodSeconds": 1},
    }
    worker = {
        "name": "dask-worker",
        "image": IMAGE,
        "args": ["dask-worker", "--name", "$(DASK_WORKER_NAME)"],
        "resources": {},
    }
    selector = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    service_ports = [{**port, "protocol": "TCP", "targetPort": port["name"]} for port in ports]
    runner = {"name": "job-runner", "image": IMAGE, "command": list(command), "resources": {}}
    cluster = {
        "worker": {"replicas": 1, "spec": {"restartPolicy": "Always", "containers": [worker]}},
        "scheduler": {
            "spec": {"restartPolicy": "Always", "containers": [scheduler]},
            "service": {"type": "NodePort", "selector": selector, "ports": service_ports},
        },
    }
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {
            "name": name,
            "creationTimestamp": None,
            "labels": {"flyte.org/managed": "true"},
            "annotations": {"from": "flyte"},
        },
        "spec": {
            "job": {"spec": {"restartPolicy": "Never", "containers": [runner]}},
            "cluster": {
                "metadata": {"creationTimestamp": None, "labels": {"team": "blue"}, "annotations": {}},
                "spec": cluster,
                "status": {},
            },
        },
        "status": {"jobStatus": "", "startTime": None, "endTime": None},
    }


def create(kubernetes, job) -> None:
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(job))


def until(kubernetes, state: str, name: str = "fly") -> dict[str, Any]:
    wanted = f"--for=jsonpath={{.status.jobStatus}}={state}"
    kubernetes.kubectl("wait", wanted, f"daskjob/{name}", "--timeout=60s", timeout=70)
    return json.loads(kubernetes.kubectl("get", "daskjob", name, "-o", "json"))["status"]


def test_flyte_what_it_writes_runs_to_its_end(kubernetes):
    create(kubernetes, a_job("python", "-c", RUN))
    status = until(kubernetes, "Successful")
    assert status["clusterName"] == "fly"
    assert status["jobRunnerPodName"] == "fly-runner"
    assert status["startTime"] <= status["endTime"]
    printed = kubernetes.kubectl("logs", "fly-runner").split()
    assert printed[:2] == ["sum", "6"]
    assert printed[3].startswith("fly-default-worker-group-worker-"), "under the name of its Pod"
    kubernetes.kubectl("wait", "--for=delete", "daskcluster/fly", "--timeout=30s")
    kubernetes.kubectl(
        "wait", "--for=delete", "pods", "-l", "dask.org/component!=job-runner", "--timeout=40s"
    )
    left = kubernetes.kubectl("get", "pods,services,daskworkergroups", "-l", SELECTOR, "-o", "name")
    assert left.split() == ["pod/fly-runner"], "its log can still be read"
    kubernetes.kubectl("delete", "daskjob", "fly")
    kubernetes.kubectl("wait", "--for=delete", "pod/fly-runner", "--timeout=30s")


def test_flyte_labels_and_annotations_of_a_job_reach_all_that_is_made_of_it(kubernetes):
    create(kubernetes, a_job("sleep", "600"))
    until(kubernetes, "Running")
    kubernetes.kubectl("wait", "--for=jsonpath={.status.replicas}=1", "daskcluster/fly", "--timeout=60s")
    pods = json.loads(kubernetes.kubectl("get", "pods", "-l", "flyte.org/managed=true", "-o", "json"))[
        "items"
    ]
    components = {pod["metadata"]["labels"]["dask.org/component"] for pod in pods}
    assert components == {"scheduler", "worker", "job-runner"}
    assert {pod["metadata"]["annotations"]["from"] for pod in pods} == {"flyte"}
    labels = json.loads(kubernetes.kubectl("get", "daskcluster", "fly", "-o", "json"))["metadata"]["labels"]
    assert labels["team"] == "blue", "spec.cluster.metadata is the cluster's"


def test_flyte_a_runner_that_fails(kubernetes):
    create(kubernetes, a_job("sh", "-c", "echo no luck; exit 3"))
    status = until(kubernetes, "Failed")
    assert status["endTime"]
    kubernetes.kubectl("wait", "--for=delete", "daskcluster/fly", "--timeout=30s")
    assert kubernetes.kubectl("logs", "fly-runner") == "no luck\n"


@pytest.fixture
def held(kubernetes):
    """A running job with somebody else's finalizer, as Flyte puts one there."""
    job = a_job("sleep", "600")
    job["metadata"]["finalizers"] = ["flyte.org/finalizer-k8s"]
    job["spec"]["job"]["spec"]["terminationGracePeriodSeconds"] = 1
    create(kubernetes, job)
    until(kubernetes, "Running")
    yield kubernetes
    free = '{"metadata": {"finalizers": null}}'
    kubernetes.kubectl("patch", "daskjob", "fly", "--type=merge", "-p", free, check=False)


def test_flyte_a_deleted_job_that_its_finalizer_holds_gives_its_pods_back(held):
    held.kubectl("delete", "daskjob", "fly", "--wait=false")
    held.kubectl("wait", "--for=delete", "daskcluster/fly", "pod/fly-runner", "--timeout=40s")
    held.kubectl("wait", "--for=delete", "pods", "-l", SELECTOR, "--timeout=40s")
    assert held.kubectl("get", "daskjobs", "-o", "name").split() == ["daskjob.kubernetes.dask.org/fly"]


def test_flyte_a_name_of_50_and_an_annotation_that_makes_gpu_workers(kubernetes):
    """Flyte looks for the one Pod with the job's name as prefix and "scheduler" in its name."""
    name = "f" * 50
    job = a_job("python", "-c", f"import time; time.sleep(8)\n{RUN}", name=name)
    job["metadata"]["annotations"]["dask.org/worker-command"] = "dask-cuda-worker"
    create(kubernetes, job)
    until(kubernetes, "Running", name)
    pods = json.loads(kubernetes.kubectl("get", "pods", "-o", "json"))["items"]
    (scheduler,) = (
        pod
        for pod in pods
        if pod["metadata"]["name"].startswith(name) and "scheduler" in pod["metadata"]["name"]
    )
    chosen = scheduler["metadata"]["annotations"].get("kubectl.kubernetes.io/default-container", "scheduler")
    assert chosen == "scheduler"
    wanted = "jsonpath={.spec.worker.spec.containers[0].args}"
    assert json.loads(kubernetes.kubectl("get", "daskcluster", name, "-o", wanted)) == [
        "dask-cuda-worker",
        "--name",
        "$(DASK_WORKER_NAME)",
    ]
    until(kubernetes, "Successful", name)
    assert kubernetes.kubectl("logs", f"{name}-runner").startswith("sum 6")
