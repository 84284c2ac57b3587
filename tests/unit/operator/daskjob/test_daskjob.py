"""Every state of a DaskJob."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.operator.daskjob.observe import Observed
from dask_gpu_k8s.operator.daskjob.plan import plan
from dask_gpu_k8s.operator.daskjob.status import conclude
from dask_gpu_k8s.operator.engine.actions import Create, Delete, Outcome, Plan
from tests.unit.operator.builders import NOW, a_job, a_job_cluster, a_runner, ago


def seen(
    state: str, *, cluster: bool = True, phase: str | None = None, container: Any = None, **more: Any
) -> Observed:
    job = a_job(**({"jobStatus": state} if state else {}), **more)
    runner = a_runner(job, phase, **(container or {})) if phase else None
    return Observed(job, a_job_cluster(job) if cluster else None, runner)


def done(plan: Plan) -> list[Outcome]:
    return [Outcome(action, "done") for action in plan.actions]


def names(plan: Plan) -> list[list[str]]:
    return [[str(action) for action in stage] for stage in plan.stages]


def status(view: Observed, outcomes: list[Outcome] | None = None) -> dict[str, Any]:
    said = conclude(view, Plan(), outcomes or [], NOW)
    assert said is not None
    return said.status


@pytest.mark.parametrize("more", [{}, {"jobStatus": "", "startTime": None, "endTime": None}])
def test_a_new_job_is_first_taken_note_of(more):
    view = Observed(a_job(**more))
    assert plan(view, NOW) == Plan()
    said = status(view)
    assert said["jobStatus"] == "JobCreated"
    assert "jobRunnerPodName" not in said


def test_then_its_cluster_and_its_runner_are_made_in_this_order():
    view = seen("JobCreated", cluster=False)
    made = plan(view, NOW)
    assert names(made) == [["create daskcluster foo"], ["create pod foo-runner"]]
    said = status(view, done(made))
    assert (said["jobStatus"], said["clusterName"], said["jobRunnerPodName"]) == (
        "ClusterCreated",
        "foo",
        "foo-runner",
    )


def test_as_long_as_they_are_not_both_made_it_stays_so():
    view = seen("JobCreated", cluster=False)
    create, _ = plan(view, NOW).actions
    said = status(view, [Outcome(create, "again")])
    assert said["jobStatus"] == "JobCreated"


@pytest.mark.parametrize(
    ("phase", "before", "after"),
    [
        ("Pending", "ClusterCreated", "ClusterCreated"),
        ("Running", "ClusterCreated", "Running"),
        ("Running", "JobCreated", "Running"),
        ("Unknown", "Running", "Running"),
        ("Succeeded", "Running", "Successful"),
        ("Failed", "ClusterCreated", "Failed"),
    ],
)
def test_states_follow_the_runner(phase, before, after):
    view = seen(before, phase=phase)
    assert plan(view, NOW) == Plan()
    assert status(view)["jobStatus"] == after


def test_times_are_those_of_the_runners_container():
    view = seen("ClusterCreated", phase="Running", container={"running": {"startedAt": ago(30)}})
    assert status(view)["startTime"] == ago(30)
    ended = {"terminated": {"startedAt": ago(30), "finishedAt": ago(2)}}
    said = status(seen("ClusterCreated", phase="Succeeded", container=ended))
    assert (said["startTime"], said["endTime"]) == (ago(30), ago(2))


def test_times_once_said_stay():
    view = seen("Running", phase="Succeeded", startTime=ago(99))
    assert "startTime" not in status(view)


@pytest.mark.parametrize("state", ["Successful", "Failed"])
def test_the_end_is_written_before_the_cluster_goes_and_the_runner_stays(state):
    phase = {"Successful": "Succeeded", "Failed": "Failed"}[state]
    assert not plan(seen("Running", phase=phase), NOW).actions
    (delete,) = plan(seen(state, phase=phase), NOW).actions
    assert isinstance(delete, Delete)
    assert (delete.resource.kind, delete.uid) == ("DaskCluster", "u-cluster")
    after = seen(state, cluster=False, phase=phase)
    assert plan(after, NOW) == Plan()
    assert status(after)["jobStatus"] == state


def test_a_job_that_has_ended_stays_so_when_its_runner_is_removed():
    assert status(seen("Successful", cluster=False))["jobStatus"] == "Successful"
    assert not plan(seen("Successful", cluster=False), NOW).actions


def test_a_runner_that_vanishes_while_it_runs_has_failed():
    view = seen("Running")
    assert not plan(view, NOW).actions
    said = status(view)
    assert said["jobStatus"] == "Failed"
    assert said["endTime"] == "2026-01-31T12:00:00Z"
    assert find(said["conditions"], "Complete")["reason"] == "RunnerLost"


def test_a_runner_that_never_ran_is_made_again():
    assert names(plan(seen("ClusterCreated"), NOW)) == [["create pod foo-runner"]]


def test_a_cluster_that_vanishes_is_made_again_while_the_runner_runs():
    assert names(plan(seen("Running", cluster=False, phase="Running"), NOW)) == [["create daskcluster foo"]]


def test_the_end_is_told_once():
    said = conclude(seen("Running", phase="Failed"), Plan(), [], NOW)
    assert [(note.type, note.reason) for note in said.notes] == [("Warning", "RunnerFailed")]
    again = conclude(seen("Failed", phase="Failed"), Plan(), [], NOW)
    assert not again.notes


def test_what_is_in_the_way_is_said_and_tried_again():
    view = seen("JobCreated", cluster=False)
    (create, *_) = plan(view, NOW).actions
    assert isinstance(create, Create)
    outcome = Outcome(create, "refused", "NameTaken", "DaskCluster 'foo' exists already.")
    said = conclude(view, Plan(), [outcome], NOW)
    accepted = find(said.status["conditions"], "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "NameTaken")
    assert said.wake_after
    assert plan(Observed(view.job, cooling=20.0), NOW) == Plan(wake_after=20.0)


def test_a_job_that_is_going_takes_its_parts_along_even_if_somebodys_finalizer_keeps_it():
    view = seen("Running", phase="Running")
    job = {**view.job, "metadata": {**view.job["metadata"], "deletionTimestamp": ago(1)}}
    going = Observed(job, view.cluster, view.runner)
    assert names(plan(going, NOW)) == [["delete daskcluster foo", "delete pod foo-runner"]]
    assert conclude(going, Plan(), [], NOW) is None


def test_what_has_not_changed_is_said_in_the_same_words():
    first = status(seen("ClusterCreated", phase="Running", container={"running": {"startedAt": ago(30)}}))
    job = a_job(**first)
    again = conclude(
        Observed(job, a_job_cluster(job), a_runner(job, "Running")), Plan(), [], NOW.replace(hour=18)
    )
    assert {**first, **again.status} == first
