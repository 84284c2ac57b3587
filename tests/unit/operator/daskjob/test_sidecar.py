"""A runner that is in the scheduler's Pod."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.operator.daskcluster.memory import has_failed, is_lost
from dask_gpu_k8s.operator.daskcluster.observe import Observed as ClusterSeen
from dask_gpu_k8s.operator.daskjob.observe import Observed
from dask_gpu_k8s.operator.daskjob.plan import plan
from dask_gpu_k8s.operator.daskjob.status import conclude
from dask_gpu_k8s.operator.engine.actions import Plan
from dask_gpu_k8s.operator.objects.jobs import make_job_cluster
from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod
from tests.unit.operator.builders import NOW, a_job, a_job_cluster, ago, stored

BEGAN = {"startedAt": ago(30)}
RUNS: dict[str, Any] = {"running": BEGAN}


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {**BEGAN, "finishedAt": ago(2), "exitCode": code}}


def a_sidecar_job(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    job = a_job(**status)
    return {**job, "spec": {**job["spec"], "submissionMode": "Sidecar", **(spec or {})}}


def a_pod(job: dict[str, Any], scheduler: dict[str, Any], runner: dict[str, Any] | None) -> dict[str, Any]:
    statuses = [{"name": "scheduler", "state": scheduler}]
    statuses += [{"name": "job", "state": runner}] if runner else []
    made = make_scheduler_pod(a_job_cluster(job))
    made["spec"]["nodeName"] = "n"
    return stored(made, "u-scheduler", phase="Running", containerStatuses=statuses)


def seen(job: dict[str, Any], pod: dict[str, Any] | None = None, **more: Any) -> Observed:
    return Observed(job, **{"cluster": a_job_cluster(job), "runner": pod, **more})


def status(view: Observed) -> dict[str, Any]:
    said = conclude(view, Plan(), [], NOW)
    assert said is not None
    return said.status


def test_its_pod_has_both_and_never_restarts():
    job = a_sidecar_job()
    job["spec"]["cluster"]["spec"]["scheduler"]["spec"]["restartPolicy"] = "Always"
    job["spec"]["job"]["spec"].update(serviceAccountName="runner", volumes=[{"name": "code", "emptyDir": {}}])
    job["spec"]["job"]["metadata"] = {"labels": {"team": "blue"}}
    made = make_job_cluster(job)
    pod = make_scheduler_pod({**made, "metadata": {**made["metadata"], "uid": "u-cluster"}})
    assert [each["name"] for each in pod["spec"]["containers"]] == ["scheduler", "job"]
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["serviceAccountName"] == "runner"
    assert pod["spec"]["volumes"] == [{"name": "code", "emptyDir": {}}]
    assert pod["metadata"]["labels"]["team"] == "blue"
    assert pod["metadata"]["labels"][labels.COMPONENT] == "scheduler"
    (runner,) = (each for each in pod["spec"]["containers"] if each["name"] == "job")
    env = {each["name"]: each["value"] for each in runner["env"]}
    assert env["DASK_SCHEDULER_ADDRESS"] == "tcp://foo-scheduler.ns.svc:8786"


def test_an_on_failure_that_the_user_wants_is_the_pods():
    job = a_sidecar_job()
    job["spec"]["job"]["spec"]["restartPolicy"] = "OnFailure"
    assert make_job_cluster(job)["spec"]["scheduler"]["spec"]["restartPolicy"] == "OnFailure"


def test_what_both_pod_specs_say_is_the_schedulers():
    job = a_sidecar_job()
    scheduler = job["spec"]["cluster"]["spec"]["scheduler"]["spec"]
    scheduler.update(volumes=[{"name": "v", "emptyDir": {}}], nodeSelector={"a": "b"})
    job["spec"]["job"]["spec"].update(volumes=[{"name": "v", "hostPath": {}}], nodeSelector={"c": "d"})
    spec = make_job_cluster(job)["spec"]["scheduler"]["spec"]
    assert (spec["volumes"], spec["nodeSelector"]) == ([{"name": "v", "emptyDir": {}}], {"a": "b"})


def test_only_its_cluster_is_made():
    job = a_sidecar_job(jobStatus="JobCreated")
    assert [str(action) for action in plan(seen(job, cluster=None), NOW).actions] == [
        "create daskcluster foo"
    ]


@pytest.mark.parametrize(
    ("scheduler", "runner", "state", "reason"),
    [
        (RUNS, None, "ClusterCreated", None),
        (RUNS, {"waiting": {"reason": "ContainerCreating"}}, "ClusterCreated", "ContainerCreating"),
        (RUNS, RUNS, "Running", "Running"),
        (RUNS, ended(0), "Successful", "Succeeded"),
        (RUNS, ended(3), "Failed", "RunnerFailed"),
        (ended(1), RUNS, "Failed", "SchedulerLost"),
        (ended(0), ended(0), "Successful", "Succeeded"),
    ],
)
def test_the_runners_exit_decides(scheduler, runner, state, reason):
    job = a_sidecar_job(jobStatus="ClusterCreated")
    said = status(seen(job, a_pod(job, scheduler, runner)))
    assert said["jobStatus"] == state
    assert reason in (None, said["reason"])
    assert said["jobRunnerPodName"] == "foo-scheduler"


def test_at_the_end_its_pod_is_stopped_and_handed_over_and_then_the_cluster_goes():
    job = a_sidecar_job(jobStatus="Successful", endTime=ago(1))
    pod = a_pod(job, RUNS, ended(0))
    first, then = plan(seen(job, pod), NOW).stages
    assert first[0].patch["spec"] == {"activeDeadlineSeconds": 1}
    assert [each["uid"] for each in first[0].patch["metadata"]["ownerReferences"]] == ["u-job"]
    assert [str(action) for action in then] == ["delete daskcluster foo"]
    handed = {
        **pod,
        "metadata": {**pod["metadata"], **first[0].patch["metadata"]},
        "spec": {**pod["spec"], **first[0].patch["spec"]},
    }
    assert plan(seen(job, handed, cluster=None), NOW) == Plan()


def test_a_scheduler_that_is_kept_is_not_stopped():
    job = a_sidecar_job({"deletionPolicy": {"onSuccess": "Workers"}}, jobStatus="Successful", endTime=ago(1))
    made = plan(seen(job, a_pod(job, RUNS, ended(0))), NOW)
    assert [str(action) for action in made.actions] == ["patch daskcluster foo"]


def test_a_scheduler_that_has_ended_is_not_kept():
    """Any edit of its cluster would make it again, and the runner with it."""
    job = a_sidecar_job({"deletionPolicy": {"onFailure": "Workers"}}, jobStatus="Failed", endTime=ago(1))
    pod = a_pod(job, ended(1), ended(1))
    pod["status"]["phase"] = "Failed"
    made = plan(seen(job, pod), NOW)
    assert [str(action) for action in made.actions] == ["patch pod foo-scheduler", "delete daskcluster foo"]


def test_its_cluster_never_makes_a_second_pod():
    job = a_sidecar_job()
    cluster = a_job_cluster(job)
    for known in ({"uid": "u-scheduler"}, {"uid": "u-scheduler", "wasReady": True}):
        cluster["status"] = {"schedulerPod": known}
        assert has_failed(ClusterSeen(cluster))
    finished = {**a_pod(job, ended(1), ended(1))}
    finished["status"] = {**finished["status"], "phase": "Failed"}
    assert has_failed(ClusterSeen(cluster, scheduler=finished))
    assert not is_lost(ClusterSeen(cluster, scheduler=a_pod(job, RUNS, RUNS)))


def test_a_job_whose_scheduler_was_lost_before_its_runner_was_seen_to_run_has_failed():
    job = a_sidecar_job(jobStatus="ClusterCreated")
    cluster = a_job_cluster(job)
    told = {"type": "SchedulerLost", "status": "True", "reason": "LossPolicyFail", "message": ""}
    cluster["status"] = {"conditions": [told]}
    said = status(seen(job, None, cluster=cluster))
    assert (said["jobStatus"], said["reason"]) == ("Failed", "SchedulerLost")
