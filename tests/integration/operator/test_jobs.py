"""What becomes of DaskJobs; their Pods fit on no node, and the tests say how their runners do."""

from __future__ import annotations

import asyncio
import copy
from datetime import datetime, timezone
from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find, format_time, holds
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, EVENT, POD, SERVICE
from dask_gpu_k8s.kube.errors import Forbidden
from dask_gpu_k8s.kube.store import Store
from tests.integration.operator.conftest import eventually, running
from tests.integration.operator.jobs import (
    BEGAN,
    ENDED,
    RUNNER,
    a_job,
    container,
    ends,
    get,
    has_no_pods,
    pods_of,
    runner_of_attempt,
    says,
    status_of,
    until,
)


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache hand out objects that refuse to be changed."""
    monkeypatch.setattr(Store, "frozen", True)


@pytest.mark.parametrize("code", [0, 1, 3, 137])
async def test_row_22_the_runners_exit_code_decides(kube, code):
    async with running(kube):
        await kube.create(DASKJOB, a_job())
        await runner_of_attempt(kube, "foo", 0)
        await says(kube, "foo-runner", "Running", container("running"))
        await status_of(kube, "foo", jobStatus="Running", startTime=BEGAN)
        await ends(kube, "foo", code)
        state = "Failed" if code else "Successful"
        status = await status_of(kube, "foo", jobStatus=state, failed=int(code != 0), endTime=ENDED)
        assert holds(status["conditions"], "Complete") == (not code)
        assert holds(status["conditions"], "Failed") == bool(code)
        assert status["reason"] == ("RunnerFailed" if code else "Succeeded")
        if code:
            assert f"exit code {code}" in status["message"]
        await until(kube, DASKCLUSTER, "foo", lambda cluster: cluster is None)
        assert await get(kube, POD, "foo-runner")


async def test_row_22_each_retry_has_a_cluster_of_its_own(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(backoffLimit=2))
        clusters, schedulers, runners = set(), set(), set()
        for attempt, code in enumerate((3, 4, 0)):
            runner = await runner_of_attempt(kube, "foo", attempt)
            scheduler = await until(kube, POD, "foo-scheduler", lambda pod: pod)
            cluster = await kube.get(DASKCLUSTER, "foo")
            for seen, obj in ((clusters, cluster), (schedulers, scheduler), (runners, runner)):
                seen.add(obj["metadata"]["uid"])
            assert scheduler["metadata"]["ownerReferences"][0]["uid"] == cluster["metadata"]["uid"]
            await ends(kube, "foo", code)
        status = await status_of(kube, "foo", jobStatus="Successful", failed=2, attempt=2)
        assert [len(each) for each in (clusters, schedulers, runners)] == [3, 3, 3]
        assert status["startTime"] == BEGAN
        warning = ("Warning", "RunnerFailed")
        assert await told(kube, 3) == [("Normal", "Succeeded"), warning, warning]


async def told(kube: Any, count: int) -> list[tuple[str, str]]:
    """Wait for so many Events about jobs; return type and reason of all there are."""

    async def check() -> Any:
        events = (await kube.list(EVENT))["items"]
        about = [each for each in events if each["involvedObject"]["kind"] == "DaskJob"]
        return len(about) >= count and sorted((each["type"], each["reason"]) for each in about)

    return list(await eventually(check))


async def test_row_22_nothing_of_before_is_left_when_a_retry_begins(kube):
    """A Pod of the old cluster that takes its time holds up the new cluster and the new runner."""
    async with running(kube):
        await kube.create(DASKJOB, a_job(backoffLimit=1))
        await runner_of_attempt(kube, "foo", 0)
        held = await until(kube, POD, "foo-scheduler", lambda pod: pod)
        await kube.patch(POD, "foo-scheduler", {"metadata": {"finalizers": ["test/held"]}})
        await ends(kube, "foo", 1)
        text = "Waits until Pod foo-scheduler, left from before, is gone."
        await status_of(kube, "foo", jobStatus="JobCreated", failed=1, message=text)
        await until(kube, POD, "foo-runner", lambda pod: pod is None)
        assert await get(kube, DASKCLUSTER, "foo") is None
        await kube.patch(POD, "foo-scheduler", {"metadata": {"finalizers": None}})
        await runner_of_attempt(kube, "foo", 1)
        new = await until(kube, POD, "foo-scheduler", lambda pod: pod)
        assert new["metadata"]["uid"] != held["metadata"]["uid"]


async def test_row_22_all_retries_may_fail(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(backoffLimit=1))
        for attempt in range(2):
            await runner_of_attempt(kube, "foo", attempt)
            await ends(kube, "foo", 7)
        status = await status_of(kube, "foo", jobStatus="Failed", failed=2, reason="BackoffLimitExceeded")
        assert "exit code 7" in status["message"]


async def test_row_22_restarts_in_place_count_where_the_user_wants_them(kube):
    job = a_job(backoffLimit=2)
    job["spec"]["job"]["spec"]["restartPolicy"] = "OnFailure"
    async with running(kube):
        await kube.create(DASKJOB, job)
        runner = await runner_of_attempt(kube, "foo", 0)
        assert runner["spec"]["restartPolicy"] == "OnFailure"
        await says(kube, "foo-runner", "Running", container("terminated", code=1, restarts=1))
        await status_of(kube, "foo", jobStatus="Running")
        await says(kube, "foo-runner", "Running", container("running", restarts=3))
        await status_of(kube, "foo", jobStatus="Failed", failed=3, reason="BackoffLimitExceeded")
        # It is stopped, and stays for its log.
        await until(kube, POD, "foo-runner", lambda pod: pod["spec"].get("activeDeadlineSeconds") == 1)


async def test_a_runner_that_never_restarts_is_what_nobody_says_otherwise(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job())
        runner = await runner_of_attempt(kube, "foo", 0)
        assert runner["spec"]["restartPolicy"] == "Never"


async def test_row_22_a_job_that_runs_for_too_long_has_failed(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(activeDeadlineSeconds=1, backoffLimit=5))
        await runner_of_attempt(kube, "foo", 0)
        await says(kube, "foo-runner", "Running", container("running"))
        status = await status_of(kube, "foo", jobStatus="Failed", reason="DeadlineExceeded")
        assert status["failed"] == 0
        await until(kube, POD, "foo-runner", lambda pod: pod["spec"].get("activeDeadlineSeconds") == 1)
        await until(kube, DASKCLUSTER, "foo", lambda cluster: cluster is None)


async def test_row_22_a_job_that_does_not_begin_in_time_has_failed(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(startDeadlineSeconds=1, backoffLimit=5))
        await status_of(kube, "foo", jobStatus="Failed", reason="StartDeadlineExceeded")
        await has_no_pods(kube, "foo")


async def test_row_22_a_job_goes_some_time_after_its_end(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(ttlSecondsAfterFinished=0))
        await runner_of_attempt(kube, "foo", 0)
        await ends(kube, "foo", 0)
        await until(kube, DASKJOB, "foo", lambda job: job is None)
        await has_no_pods(kube, "foo")


@pytest.mark.parametrize(
    ("policy", "code", "wanted"),
    [
        ({}, 0, "gone"),
        ({"onSuccess": "Workers"}, 1, "gone"),
        ({"onSuccess": "Workers"}, 0, "suspended"),
        ({"onFailure": "Workers"}, 1, "suspended"),
        ({"onFailure": "None"}, 1, "there"),
    ],
)
async def test_row_22_what_goes_when_a_job_has_ended(kube, policy, code, wanted):
    def is_so(cluster: Any) -> bool:
        if cluster is None:
            return wanted == "gone"
        return bool(cluster["spec"].get("suspendWorkers")) == (wanted == "suspended")

    async with running(kube):
        await kube.create(DASKJOB, a_job(deletionPolicy=policy))
        await runner_of_attempt(kube, "foo", 0)
        await until(kube, POD, "foo-scheduler", lambda pod: pod)
        await ends(kube, "foo", code)
        await status_of(kube, "foo", jobStatus="Failed" if code else "Successful")
        await until(kube, DASKCLUSTER, "foo", is_so)
        if wanted != "gone":
            assert "foo-scheduler" in await pods_of(kube, "foo")


async def test_row_23_deleted_and_created_again_at_once_50_times(kube):
    async with running(kube):
        for _ in range(50):
            job = await kube.create(DASKJOB, a_job())
            uid = job["metadata"]["uid"]
            await until(kube, POD, "foo-runner", lambda pod, uid=uid: pod and _owner(pod) == uid)
            cluster = await kube.get(DASKCLUSTER, "foo")
            assert _owner(cluster) == uid
            await kube.delete(DASKJOB, "foo")
        await has_no_pods(kube, "foo")


def _owner(obj: dict[str, Any]) -> str:
    return str(obj["metadata"]["ownerReferences"][0]["uid"])


async def test_row_24_no_pods_while_suspended(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(suspend=True))
        status = await status_of(kube, "foo", jobStatus="Suspended")
        assert holds(status["conditions"], "Suspended")
        assert await pods_of(kube, "foo") == []
        await _suspend(kube, False)
        first = await runner_of_attempt(kube, "foo", 0)
        await until(kube, POD, "foo-scheduler", lambda pod: pod)
        await says(kube, "foo-runner", "Running", container("running"))
        status = await status_of(kube, "foo", jobStatus="Running", startTime=BEGAN)
        assert not holds(status["conditions"], "Suspended")
        await _suspend(kube, True)
        await has_no_pods(kube, "foo")
        status = await kube.get(DASKJOB, "foo")
        assert not {"startTime", "jobRunnerPodName"} & set(status["status"])
        await _suspend(kube, False)
        again = await runner_of_attempt(kube, "foo", 1)
        assert again["metadata"]["uid"] != first["metadata"]["uid"]
        await ends(kube, "foo", 0)
        status = await status_of(kube, "foo", jobStatus="Successful", failed=0)


async def _suspend(kube: Any, value: bool) -> None:
    await kube.patch(DASKJOB, "foo", {"spec": {"suspend": value}})


async def test_row_24_a_suspended_job_has_no_deadline(kube):
    async with running(kube):
        job = a_job(suspend=True, startDeadlineSeconds=2, activeDeadlineSeconds=1)
        await kube.create(DASKJOB, job)
        await status_of(kube, "foo", jobStatus="Suspended")
        await asyncio.sleep(2.2)  # the deadlines, had they run
        assert (await kube.get(DASKJOB, "foo"))["status"]["jobStatus"] == "Suspended"
        resumed = format_time(datetime.now(timezone.utc))
        # With more time from now on: to make it all may take longer than that.
        await kube.patch(DASKJOB, "foo", {"spec": {"suspend": False, "startDeadlineSeconds": 60}})
        await runner_of_attempt(kube, "foo", 0)
        status = await status_of(kube, "foo", jobStatus="ClusterCreated")
        assert status["attemptTime"] >= resumed


async def test_a_runner_that_vanishes_is_tried_again(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(backoffLimit=1))
        for attempt in range(2):
            await runner_of_attempt(kube, "foo", attempt)
            await says(kube, "foo-runner", "Running", container("running"))
            await status_of(kube, "foo", jobStatus="Running", attempt=attempt)
            await kube.delete(POD, "foo-runner", grace_seconds=0)
        status = await status_of(kube, "foo", jobStatus="Failed", failed=2)
        assert "vanished" in status["message"]


async def test_row_54_workers_do_not_eat_the_quota_that_the_runner_needs(kube):
    send = kube.request
    is_full = True

    async def request(method: str, resource: Any, **more: Any) -> Any:
        name = ((more.get("body") or {}).get("metadata") or {}).get("name")
        if is_full and method == "POST" and name == "foo-runner":
            raise Forbidden(403, "Forbidden", "exceeded quota: pods", {}, "create pods")
        return await send(method, resource, **more)

    kube.request = request
    async with running(kube):
        await kube.create(DASKJOB, a_job())
        await status_of(kube, "foo", reason="QuotaExceeded", message="exceeded quota: pods")
        await until(kube, POD, "foo-scheduler", lambda pod: pod)
        await until(kube, SERVICE, "foo-service", lambda service: service)
        await asyncio.sleep(0.3)  # time for workers, were they made
        assert await pods_of(kube, "foo") == ["foo-scheduler"]
        is_full = False
        await kube.patch(DASKJOB, "foo", {"spec": {"backoffLimit": 1}})  # what is new is tried at once
        await runner_of_attempt(kube, "foo", 0)
        await eventually(lambda: _has_pods(kube, 3))


async def _has_pods(kube: Any, count: int) -> bool:
    return len(await pods_of(kube, "foo")) == count


async def test_what_has_ended_stays_so(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(backoffLimit=3))
        await runner_of_attempt(kube, "foo", 0)
        await ends(kube, "foo", 0)
        await status_of(kube, "foo", jobStatus="Successful")
        await until(kube, DASKCLUSTER, "foo", lambda cluster: cluster is None)
        await says(kube, "foo-runner", "Failed", container("terminated", code=1))
        await _suspend(kube, True)
        await kube.delete(POD, "foo-runner")
        await asyncio.sleep(0.5)
        assert (await kube.get(DASKJOB, "foo"))["status"]["jobStatus"] == "Successful"
        await has_no_pods(kube, "foo")


async def test_flyte_a_first_runner_that_failed_has_a_name_that_can_be_read(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job())
        await runner_of_attempt(kube, "foo", 0)
        await ends(kube, "foo", 1)
        status = await status_of(kube, "foo", jobStatus="Failed")
        assert await kube.get(POD, status["jobRunnerPodName"])
        assert (status["startTime"], status["endTime"]) == (BEGAN, ENDED)


async def test_polyaxon_the_operator_writes_neither_labels_nor_spec_of_a_job(kube):
    job = a_job(backoffLimit=1, deletionPolicy={"onSuccess": "Workers"}, submissionMode="Pod")
    job["metadata"]["labels"] = {"app.kubernetes.io/instance": "mine"}
    job["metadata"]["annotations"] = {labels.WORKER_COMMAND: "dask cuda worker"}
    async with running(kube):
        before = copy.deepcopy(await kube.create(DASKJOB, job))
        for attempt, code in enumerate((1, 0)):
            await runner_of_attempt(kube, "foo", attempt)
            await ends(kube, "foo", code)
        await status_of(kube, "foo", jobStatus="Successful")
        await until(kube, DASKCLUSTER, "foo", lambda cluster: cluster["spec"].get("suspendWorkers"))
        after = await kube.get(DASKJOB, "foo")
        assert after["spec"] == before["spec"]
        for field in ("labels", "annotations", "generation", "finalizers"):
            assert after["metadata"].get(field) == before["metadata"].get(field)


async def test_sidecar_the_runner_is_in_the_schedulers_pod(kube):
    job = a_job(submissionMode="Sidecar", backoffLimit=1)
    job["spec"]["job"]["metadata"] = {"labels": {"team": "blue"}}
    async with running(kube):
        await kube.create(DASKJOB, job)
        for attempt, code in enumerate((1, 0)):
            pod = await until(
                kube,
                POD,
                "foo-scheduler",
                lambda pod, text=str(attempt): (
                    pod and pod["metadata"]["annotations"][labels.JOB_ATTEMPT] == text
                ),
            )
            assert [each["name"] for each in pod["spec"]["containers"]] == ["scheduler", RUNNER]
            assert pod["spec"]["restartPolicy"] == "Never"
            assert pod["metadata"]["labels"]["team"] == "blue"
            await until(kube, SERVICE, "foo-scheduler", lambda service: service)
            assert await get(kube, POD, "foo-runner") is None
            beside = container("running", name="scheduler")
            await says(kube, "foo-scheduler", "Running", beside, container("running"))
            await status_of(
                kube, "foo", jobStatus="Running", jobRunnerPodName="foo-scheduler", attempt=attempt
            )
            await says(kube, "foo-scheduler", "Running", beside, container("terminated", code=code))
        await status_of(kube, "foo", jobStatus="Successful", failed=1)
        # The scheduler is ended with it, and the Pod stays for its log, as the job's own.
        await until(kube, DASKCLUSTER, "foo", lambda cluster: cluster is None)
        pod = await kube.get(POD, "foo-scheduler")
        assert pod["spec"]["activeDeadlineSeconds"] == 1
        assert _owner(pod) == (await kube.get(DASKJOB, "foo"))["metadata"]["uid"]
        await eventually(lambda: _only_scheduler(kube))
        await kube.delete(DASKJOB, "foo")
        await has_no_pods(kube, "foo")


async def _only_scheduler(kube: Any) -> bool:
    return await pods_of(kube, "foo") == ["foo-scheduler"]


async def test_sidecar_a_scheduler_that_ends_before_its_runner_is_a_failure(kube):
    async with running(kube):
        await kube.create(DASKJOB, a_job(submissionMode="Sidecar"))
        await until(kube, POD, "foo-scheduler", lambda pod: pod)
        beside = container("terminated", code=1, name="scheduler")
        await says(kube, "foo-scheduler", "Running", beside, container("running"))
        await status_of(kube, "foo", jobStatus="Failed", reason="SchedulerLost")


async def test_a_name_that_is_taken_is_told_once(kube):
    async with running(kube):
        pod = {"metadata": {"name": "foo-runner"}, "spec": a_job()["spec"]["job"]["spec"]}
        await kube.create(POD, pod)
        await kube.create(DASKJOB, a_job())
        status = await status_of(kube, "foo", reason="NameTaken")
        assert find(status["conditions"], "Accepted")["status"] == "False"
        assert "foo-runner" in status["message"]
        await kube.patch(DASKJOB, "foo", {"metadata": {"labels": {"look": "again"}}})
        assert [reason for _, reason in await told(kube, 1)] == ["NameTaken"]
        await kube.delete(POD, "foo-runner")
        await kube.patch(DASKJOB, "foo", {"spec": {"backoffLimit": 1}})
        await runner_of_attempt(kube, "foo", 0)
