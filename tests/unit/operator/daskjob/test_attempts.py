"""A job's attempts: what counts as a failure, what belongs to an earlier attempt, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find, holds
from dask_gpu_k8s.operator.daskjob.observe import Observed
from dask_gpu_k8s.operator.daskjob.plan import plan
from dask_gpu_k8s.operator.daskjob.status import conclude
from dask_gpu_k8s.operator.engine.actions import Patch, Plan
from tests.unit.operator.builders import NOW, a_job, a_job_cluster, a_runner, ago, stored

ENDED = {"terminated": {"startedAt": ago(30), "finishedAt": ago(2), "exitCode": 3}}
RUNS = {"running": {"startedAt": ago(30)}}


def a_job_with(spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    job = a_job(**status)
    return {**job, "spec": {**job["spec"], **spec}}


def of_attempt(obj: dict[str, Any], attempt: int) -> dict[str, Any]:
    annotations = {**obj["metadata"]["annotations"], labels.JOB_ATTEMPT: str(attempt)}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def seen(job: dict[str, Any], runner: dict[str, Any] | None = None, **more: Any) -> Observed:
    return Observed(job, **{"cluster": a_job_cluster(job), "runner": runner, **more})


def names(made: Plan) -> list[list[str]]:
    return [[str(action) for action in stage] for stage in made.stages]


def status(view: Observed) -> dict[str, Any]:
    said = conclude(view, Plan(), [], NOW)
    assert said is not None
    return said.status


@pytest.mark.parametrize(
    ("limit", "failed", "state", "reason"),
    [
        (None, 0, "Failed", "RunnerFailed"),
        (0, 0, "Failed", "RunnerFailed"),
        (1, 0, "JobCreated", "RunnerFailed"),
        (1, 1, "Failed", "BackoffLimitExceeded"),
        (3, 2, "JobCreated", "RunnerFailed"),
    ],
)
def test_row_22_a_failure_is_tried_again_as_often_as_asked(limit, failed, state, reason):
    spec = {} if limit is None else {"backoffLimit": limit}
    job = a_job_with(spec, jobStatus="Running", failed=failed, attempt=failed)
    view = seen(job, a_runner(job, "Failed", **ENDED))
    said = status(view)
    assert (said["jobStatus"], said["reason"], said["failed"]) == (state, reason, failed + 1)
    assert said["attempt"] == failed + (state == "JobCreated")
    assert "container job has ended with exit code 3" in said["message"]
    assert plan(view, NOW).actions == (), "it is written down first"


def test_a_failure_that_is_seen_again_is_not_counted_again():
    job = a_job_with({"backoffLimit": 3}, jobStatus="JobCreated", failed=1, attempt=1)
    view = seen(job, of_attempt(a_runner(job, "Failed", **ENDED), 0))
    assert status(view)["failed"] == 1
    assert names(plan(view, NOW)) == [["delete pod foo-runner"]]


def test_what_belongs_to_an_earlier_attempt_goes_before_anything_is_made():
    job = a_job_with({"backoffLimit": 3}, jobStatus="JobCreated", failed=1, attempt=1)
    old = of_attempt(a_job_cluster(job), 0)
    assert names(plan(seen(job, None, cluster=old), NOW)) == [["delete daskcluster foo"]]
    going = {**old, "metadata": {**old["metadata"], "deletionTimestamp": ago(1)}}
    assert plan(seen(job, None, cluster=going), NOW).actions == ()
    left = stored({"kind": "Service", "metadata": {"name": "foo-scheduler", "namespace": "ns"}}, "u-old")
    view = seen(job, None, cluster=None, in_the_way=[left])
    assert plan(view, NOW) == Plan(wake_after=1.0)
    assert status(view)["message"] == "Waits until Service foo-scheduler, left from before, is gone."
    free = seen(job, None, cluster=None)
    create, _ = plan(free, NOW).actions
    assert create.body["metadata"]["annotations"][labels.JOB_ATTEMPT] == "1"


def test_a_view_from_the_past_says_and_does_nothing():
    """The job is seen as it was, beside what was made for it since."""
    job = a_job_with({"backoffLimit": 3}, jobStatus="Running", failed=0)
    view = seen(job, of_attempt(a_runner(job, "Pending"), 1))
    assert plan(view, NOW) == Plan(wake_after=1.0)
    assert conclude(view, Plan(), [], NOW) is None


def test_what_is_said_rests_on_the_version_that_was_seen():
    job = a_job(jobStatus="Running")
    job["metadata"]["resourceVersion"] = "7"
    said = conclude(seen(job, a_runner(job, "Succeeded")), Plan(), [], NOW)
    assert said.version == "7"


@pytest.mark.parametrize(
    ("policy", "restarts", "state", "failed"),
    [("OnFailure", 1, "Running", 1), ("OnFailure", 2, "Failed", 3), ("Always", 2, "Failed", 3)],
)
def test_row_22_restarts_in_place_count(policy, restarts, state, failed):
    job = a_job_with({"backoffLimit": 2}, jobStatus="Running", failed=1)
    job["spec"]["job"]["spec"]["restartPolicy"] = policy
    runner = a_runner(job, "Running", **RUNS)
    runner["status"]["containerStatuses"][0]["restartCount"] = restarts
    said = status(seen(job, runner))
    assert (said["jobStatus"], said["failed"]) == (state, failed)


@pytest.mark.parametrize(
    ("policy", "phase", "container", "state"),
    [
        ("OnFailure", "Running", ENDED, "Running"),
        ("OnFailure", "Failed", ENDED, "Failed"),
        ("Never", "Running", ENDED, "Failed"),
        ("Always", "Running", {"terminated": {"exitCode": 0}}, "Running"),
        ("OnFailure", "Running", {"terminated": {"exitCode": 0}}, "Successful"),
        ("Never", "Failed", {"terminated": {"exitCode": 0}}, "Successful"),
        ("Never", "Pending", {"waiting": {}}, "ClusterCreated"),
    ],
)
def test_the_runners_own_container_decides_whatever_runs_beside_it(policy, phase, container, state):
    job = a_job(jobStatus="ClusterCreated")
    job["spec"]["job"]["spec"]["restartPolicy"] = policy
    runner = a_runner(job, phase, **container)
    proxy = {"name": "istio-proxy", "state": {"running": {"startedAt": ago(40)}}}
    runner["status"]["containerStatuses"].append(proxy)
    assert status(seen(job, runner))["jobStatus"] == state


def test_a_pod_that_its_node_gave_up_says_why():
    job = a_job(jobStatus="Running")
    runner = a_runner(job, "Failed")
    runner["status"].update(reason="Evicted", message="The node was low on resource: memory.")
    said = status(seen(job, runner))
    assert (said["jobStatus"], said["reason"]) == ("Failed", "Evicted")
    assert "low on resource" in said["message"]


@pytest.mark.parametrize(
    ("spec", "known", "phase", "reason", "wake"),
    [
        ({"activeDeadlineSeconds": 60}, {"startTime": ago(50)}, "Running", None, 10),
        ({"activeDeadlineSeconds": 60}, {"startTime": ago(61)}, "Running", "DeadlineExceeded", None),
        ({"startDeadlineSeconds": 60}, {"attemptTime": ago(50)}, "Pending", None, 10),
        ({"startDeadlineSeconds": 60}, {"attemptTime": ago(61)}, "Pending", "StartDeadlineExceeded", None),
        ({"startDeadlineSeconds": 60}, {"attemptTime": ago(61)}, "Running", None, None),
        ({"activeDeadlineSeconds": 60}, {"startTime": ago(61)}, "Succeeded", None, None),
    ],
)
def test_row_22_deadlines(spec, known, phase, reason, wake):
    state = "ClusterCreated" if "attemptTime" in known else "Running"
    job = a_job_with(spec, jobStatus=state, **known)
    view = seen(job, a_runner(job, phase))
    said = status(view)
    if reason:
        assert (said["jobStatus"], said["reason"]) == ("Failed", reason)
    else:
        assert said["jobStatus"] != "Failed"
    if wake:
        assert plan(view, NOW).wake_after == wake


def test_a_deadline_ends_the_job_whatever_retries_are_left():
    job = a_job_with({"activeDeadlineSeconds": 1, "backoffLimit": 9}, jobStatus="Running", startTime=ago(5))
    said = status(seen(job, a_runner(job, "Running")))
    assert (said["jobStatus"], said["failed"]) == ("Failed", 0)


@pytest.mark.parametrize(
    ("state", "attempt"), [("", 0), ("JobCreated", 3), ("ClusterCreated", 3), ("Running", 3)]
)
def test_row_24_suspension_ends_an_attempt(state, attempt):
    known = {"jobStatus": state, "attempt": 2, "startTime": ago(9)} if state else {}
    job = a_job_with({"suspend": True}, **known)
    said = status(seen(job, a_runner(job, "Running") if state == "Running" else None))
    assert (said["jobStatus"], said["attempt"]) == ("Suspended", attempt)
    assert (said["startTime"], said["jobRunnerPodName"]) == (None, None)
    assert holds(said["conditions"], "Suspended")


def test_row_24_a_suspended_job_loses_its_parts_and_makes_none():
    job = a_job_with({"suspend": True}, jobStatus="Suspended", attempt=1)
    view = seen(job, of_attempt(a_runner(job, "Running"), 0), cluster=of_attempt(a_job_cluster(job), 0))
    assert names(plan(view, NOW)) == [["delete daskcluster foo", "delete pod foo-runner"]]
    assert plan(seen(job, None, cluster=None), NOW) == Plan()


def test_row_24_a_job_that_is_resumed_begins_afresh():
    job = a_job_with({"suspend": False}, jobStatus="Suspended", attempt=1)
    view = seen(job, None, cluster=None)
    assert plan(view, NOW) == Plan()
    said = status(view)
    assert (said["jobStatus"], said["attempt"], said["attemptTime"]) == ("JobCreated", 1, ago(0))


def test_row_24_a_runner_that_had_ended_before_it_was_suspended_counts():
    job = a_job_with({"suspend": True}, jobStatus="Running")
    assert status(seen(job, a_runner(job, "Succeeded")))["jobStatus"] == "Successful"
    ended = a_job_with({"suspend": True}, jobStatus="Failed")
    assert status(seen(ended))["jobStatus"] == "Failed"


def test_a_runner_on_a_lost_node_is_deleted_by_force():
    job = a_job(jobStatus="Running")
    runner = a_runner(job, "Running", **RUNS)
    runner["metadata"] = {**runner["metadata"], "deletionTimestamp": ago(11)}
    (delete,) = plan(seen(job, runner), NOW).actions
    assert (delete.name, delete.grace_seconds) == ("foo-runner", 0)
    runner["metadata"]["deletionTimestamp"] = ago(4)
    assert plan(seen(job, runner), NOW) == Plan(wake_after=6)


@pytest.mark.parametrize(
    ("state", "policy", "wanted"),
    [
        ("Successful", {}, ["delete daskcluster foo"]),
        ("Failed", {"onSuccess": "None"}, ["delete daskcluster foo"]),
        ("Failed", {"onFailure": "Workers"}, ["patch daskcluster foo"]),
        ("Successful", {"onSuccess": "None"}, []),
    ],
)
def test_row_22_what_goes_at_the_end(state, policy, wanted):
    job = a_job_with({"deletionPolicy": policy}, jobStatus=state, endTime=ago(9))
    made = plan(seen(job, a_runner(job, "Succeeded")), NOW)
    assert [str(action) for action in made.actions] == wanted
    if wanted == ["patch daskcluster foo"]:
        cluster = a_job_cluster(job)
        cluster["spec"] = {**cluster["spec"], "suspendWorkers": True}
        assert plan(seen(job, cluster=cluster), NOW) == Plan()


@pytest.mark.parametrize(("ended", "wake"), [(ago(50), 10), (ago(60), None)])
def test_row_22_a_job_has_a_time_to_live(ended, wake):
    job = a_job_with({"ttlSecondsAfterFinished": 60}, jobStatus="Failed", endTime=ended)
    made = plan(seen(job, cluster=None), NOW)
    assert made.wake_after == wake
    assert names(made) == ([] if wake else [["delete daskjob foo"]])


@pytest.mark.parametrize(
    ("phase", "container", "wanted"),
    [
        ("Running", RUNS, ["patch pod foo-runner"]),
        ("Pending", {}, ["delete pod foo-runner"]),
        ("Failed", ENDED, []),
    ],
)
def test_a_runner_that_still_runs_is_stopped_at_the_end_and_keeps_its_log(phase, container, wanted):
    job = a_job(jobStatus="Failed", endTime=ago(1))
    runner = a_runner(job, phase, **container)
    made = plan(seen(job, runner, cluster=None), NOW)
    assert [str(action) for action in made.actions] == wanted
    for action in made.actions:
        if isinstance(action, Patch):
            assert action.patch["spec"] == {"activeDeadlineSeconds": 1}
            runner["spec"] = {**runner["spec"], "activeDeadlineSeconds": 1}
            assert plan(seen(job, runner, cluster=None), NOW) == Plan()


def test_conditions_have_the_names_of_kubernetes_own_jobs():
    job = a_job(jobStatus="Running")
    well = status(seen(job, a_runner(job, "Succeeded")))["conditions"]
    assert holds(well, "Complete")
    assert find(well, "Failed") is None
    badly = status(seen(job, a_runner(job, "Failed", **ENDED)))["conditions"]
    assert holds(badly, "Failed")
    assert find(badly, "Complete")["status"] == "False"


def test_a_pod_that_its_node_ended_has_failed_even_if_its_program_took_that_well():
    job = a_job(jobStatus="Running")
    runner = a_runner(job, "Failed", terminated={"exitCode": 0})
    runner["status"]["reason"] = "DeadlineExceeded"
    assert status(seen(job, runner))["jobStatus"] == "Failed"


def test_what_is_wrong_with_its_cluster_is_said_of_the_job():
    job = a_job(jobStatus="ClusterCreated")
    cluster = a_job_cluster(job)
    told = {"type": "Accepted", "status": "False", "reason": "Invalid", "message": "Duplicate value"}
    cluster["status"] = {"conditions": [told]}
    said = status(seen(job, a_runner(job, "Pending"), cluster=cluster))
    assert (said["reason"], said["message"]) == ("Invalid", "Of the cluster: Duplicate value")


def test_a_passed_deadline_wakes_nobody():
    job = a_job_with({"startDeadlineSeconds": 5}, jobStatus="ClusterCreated", attemptTime=ago(9))
    assert plan(seen(job, a_runner(job, "Running", **RUNS)), NOW).wake_after is None


def test_row_22_a_retry_says_which_it_is():
    job = a_job_with({"backoffLimit": 2}, jobStatus="Running", failed=1)
    assert status(seen(job, a_runner(job, "Running")))["message"] == "The runner runs. Attempt 2 of 3."
