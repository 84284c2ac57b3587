"""DaskJobs with rules: retries, deadlines, what is kept, suspension, a runner beside its scheduler."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import EXAMPLES

IMAGE = "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12"
RULES = "dask.org/cluster-name=rule"
PODS = ("pods", "-l", RULES)
IDLE = ("sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait")
COMPUTE = """
from dask.distributed import Client

with Client() as client:
    print("sum", client.submit(sum, [1, 2, 3]).result(timeout=60))
"""


def container(name: str, *command: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "command": list(command), **more}


def a_job(*command: str, real: bool = False, **spec: Any) -> dict[str, Any]:
    """A job whose cluster is a Dask cluster if it has to be, else of the cheapest kind."""
    ports = [{"name": "tcp-comm", "port": 8786}, {"name": "http-dashboard", "port": 8787}]
    attempt = {"fieldRef": {"fieldPath": "metadata.annotations['dask.org/job-attempt']"}}
    probe = {"readinessProbe": {"tcpSocket": {"port": 8786}, "periodSeconds": 1}} if real else {}
    scheduler = container("scheduler", *(("dask", "scheduler") if real else IDLE), **probe)
    worker = container("worker", *(("dask", "worker", "--name", "$(DASK_WORKER_NAME)") if real else IDLE))
    runner = container("job", *command, env=[{"name": "ATTEMPT", "valueFrom": attempt}])

    def pod(each: dict[str, Any]) -> dict[str, Any]:
        return {"terminationGracePeriodSeconds": 1, "containers": [each]}

    cluster = {
        "worker": {"replicas": 1, "spec": pod(worker)},
        "scheduler": {"spec": pod(scheduler), "service": {"ports": ports}},
    }
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {"name": "rule"},
        "spec": {"cluster": {"spec": cluster}, "job": {"spec": pod(runner)}, **spec},
    }


def create(kubernetes, job) -> None:
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(job))


def until(kubernetes, what: str, thing: str = "daskjob/rule") -> None:
    kubernetes.kubectl("wait", f"--for={what}", thing, "--timeout=60s", timeout=70)


def until_status(kubernetes, state: str) -> None:
    until(kubernetes, f"jsonpath={{.status.jobStatus}}={state}")


def status(kubernetes) -> dict[str, Any]:
    return json.loads(kubernetes.kubectl("get", "daskjob", "rule", "-o", "json"))["status"]


def suspend(kubernetes, value: str) -> None:
    patch = f'{{"spec": {{"suspend": {value}}}}}'
    kubernetes.kubectl("patch", "daskjob", "rule", "--type=merge", "-p", patch)


def test_the_example(kubernetes):
    kubernetes.kubectl("apply", "-f", str(EXAMPLES / "dask-job.yaml"))
    until(kubernetes, "condition=Complete", "daskjob/nightly")
    assert kubernetes.kubectl("logs", "nightly-runner") == "6\n"


def test_row_22_a_runner_that_ends_well_the_third_time(kubernetes):
    create(kubernetes, a_job("sh", "-c", "echo attempt $ATTEMPT; exit $((2 - ATTEMPT))", backoffLimit=2))
    until(kubernetes, "condition=Complete")
    said = status(kubernetes)
    assert (said["jobStatus"], said["failed"]) == ("Successful", 2)
    assert kubernetes.kubectl("logs", said["jobRunnerPodName"]) == "attempt 2\n"
    header, line = kubernetes.kubectl("get", "djb").splitlines()
    assert header.split() == ["NAME", "STATUS", "WORKERS", "FAILED", "REASON", "AGE"]
    assert line.split()[:5] == ["rule", "Successful", "1", "2", "Succeeded"]


def test_row_22_a_job_that_takes_too_long_is_stopped_and_its_log_stays(kubernetes):
    create(kubernetes, a_job("sh", "-c", "echo begun; exec sleep 600", activeDeadlineSeconds=3))
    until(kubernetes, "condition=Failed")
    assert status(kubernetes)["reason"] == "DeadlineExceeded"
    until(kubernetes, "jsonpath={.status.phase}=Failed", "pod/rule-runner")
    assert kubernetes.kubectl("logs", "rule-runner") == "begun\n"


def test_row_22_a_job_keeps_its_scheduler_to_look_at(kubernetes):
    job = a_job("python", "-c", COMPUTE, real=True, deletionPolicy={"onSuccess": "Workers"})
    create(kubernetes, job)
    until_status(kubernetes, "Successful")
    kubernetes.kubectl(
        "wait", "--for=delete", "pods", "-l", f"{RULES},dask.org/component=worker", "--timeout=60s"
    )
    until(kubernetes, "condition=Ready", "pod/rule-scheduler")


def test_row_23_deleted_and_created_again_while_its_pods_still_end(kubernetes):
    for number in range(3):
        create(kubernetes, a_job("sh", "-c", f"echo run {number}; {IDLE[2]}"))
        until_status(kubernetes, "Running")
        kubernetes.kubectl("delete", "daskjob", "rule", "--wait=false")
    create(kubernetes, a_job("echo", "last"))
    until_status(kubernetes, "Successful")
    assert kubernetes.kubectl("logs", "rule-runner") == "last\n"


def test_row_24_no_pods_while_a_job_is_suspended(kubernetes):
    slow = f"{COMPUTE}\nimport time; time.sleep(12)"
    create(kubernetes, a_job("python", "-c", slow, real=True, suspend=True))
    until_status(kubernetes, "Suspended")
    assert kubernetes.kubectl("get", *PODS, "-o", "name") == ""
    suspend(kubernetes, "false")
    until_status(kubernetes, "Running")
    suspend(kubernetes, "true")
    kubernetes.kubectl("wait", "--for=delete", *PODS, "--timeout=60s")
    until(kubernetes, "condition=Suspended")
    suspend(kubernetes, "false")
    until_status(kubernetes, "Successful")
    assert kubernetes.kubectl("logs", "rule-runner") == "sum 6\n"
    assert status(kubernetes)["failed"] == 0


def test_a_runner_beside_its_scheduler(kubernetes):
    """It computes there, its end is the job's, the scheduler ends with it, and its log can still be read."""
    create(kubernetes, a_job("python", "-c", COMPUTE, real=True, submissionMode="Sidecar"))
    until_status(kubernetes, "Successful")
    assert status(kubernetes)["jobRunnerPodName"] == "rule-scheduler"
    kubernetes.kubectl("wait", "--for=delete", "daskcluster/rule", "--timeout=60s")
    until(kubernetes, "jsonpath={.status.containerStatuses[0].state.terminated.reason}", "pod/rule-scheduler")
    left = kubernetes.kubectl("get", "pods", "-l", f"{RULES},dask.org/component!=worker", "-o", "name")
    assert left.split() == ["pod/rule-scheduler"]
    assert kubernetes.kubectl("logs", "rule-scheduler", "-c", "job") == "sum 6\n"
    kubernetes.kubectl("delete", "daskjob", "rule")
    kubernetes.kubectl("wait", "--for=delete", "pod/rule-scheduler", "--timeout=60s")
