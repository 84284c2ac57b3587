"""Every case of a DaskCluster: what is there, what is to be done, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.daskcluster.plan import plan
from dask_gpu_k8s.operator.daskcluster.status import conclude
from dask_gpu_k8s.operator.engine.actions import Create, Delete, Outcome, Patch, Plan
from tests.unit.operator.builders import NOW, a_cluster, a_group, ago, parts_of
from tests.unit.operator.daskcluster.views import said, whole


def foreign(part: dict[str, Any], **owner: Any) -> dict[str, Any]:
    owners = [{**owner, "controller": True}] if owner else []
    return {**part, "metadata": {**part["metadata"], "ownerReferences": owners}}


def test_a_new_cluster_gets_everything_at_once():
    made = plan(Observed(freeze(a_cluster(2))), NOW)
    assert said(made) == [
        [
            "patch foo {'metadata': {'resourceVersion': '9'}, "
            "'status': {'defaultGroupReplicas': 2, 'phase': 'Created'}}",
            "create pod foo-scheduler",
            "create service foo-scheduler",
            "create service foo-service",
        ],
        ["create daskworkergroup foo-default"],
        ["create poddisruptionbudget foo-scheduler"],
    ]


def test_a_whole_cluster_needs_nothing():
    assert plan(whole(), NOW) == Plan()


@pytest.mark.parametrize(
    ("part", "made"),
    [
        ("scheduler", "create pod foo-scheduler"),
        ("service", "create service foo-scheduler"),
        ("cluster_ip_service", "create service foo-service"),
        ("default_group", "create daskworkergroup foo-default"),
        ("budget", "create poddisruptionbudget foo-scheduler"),
    ],
)
def test_what_was_deleted_is_made_again(part, made):
    assert said(plan(whole(**{part: None}), NOW)) == [[made]]


WIPED = (
    "patch foo {'metadata': {'resourceVersion': '9'}, "
    "'status': {'defaultGroupReplicas': None, 'phase': 'Created'}}"
)
"""The memory of the replicas that were passed on, before others are."""


def test_an_edit_of_the_replicas_is_passed_to_the_default_group_and_then_remembered():
    cluster = a_cluster(5, defaultGroupReplicas=2)
    group = parts_of(a_cluster(2))["default_group"]
    passed = "patch foo-default {'spec': {'worker': {'replicas': 5}}}"
    assert said(plan(whole(cluster, default_group=group), NOW)) == [[WIPED], [passed]]
    cluster = a_cluster(5)
    assert said(plan(whole(cluster, default_group=group), NOW)) == [[passed]]
    patched = parts_of(cluster)["default_group"]
    assert said(plan(whole(cluster, default_group=patched), NOW)) == [
        [
            "patch foo {'metadata': {'resourceVersion': '9'}, "
            "'status': {'defaultGroupReplicas': 5, 'phase': 'Created'}}"
        ]
    ]


def test_row_6_who_returns_to_the_last_replicas_while_others_are_passed_on_gets_them():
    """From 2 to 5, and back to 2 before it is written down that 5 were passed on."""
    passed = parts_of(a_cluster(5))["default_group"]
    assert said(plan(whole(a_cluster(2), default_group=passed), NOW)) == [
        ["patch foo-default {'spec': {'worker': {'replicas': 2}}}"]
    ]


def test_scaling_the_group_itself_is_not_undone():
    scaled = parts_of(a_cluster(7))["default_group"]
    assert plan(whole(default_group=scaled), NOW) == Plan()


def test_a_group_made_again_gets_what_the_cluster_asks_for_now():
    cluster = a_cluster(5, defaultGroupReplicas=2)
    (create,) = plan(whole(cluster, default_group=None), NOW).actions
    assert isinstance(create, Create)
    assert create.body["spec"]["worker"]["replicas"] == 5


def test_a_group_that_the_cache_does_not_show_yet_gets_an_edit_all_the_same():
    """It was made with 2 and the cluster asks for 5: the second make meets it, and nothing is remembered."""
    cluster = a_cluster(5, defaultGroupReplicas=2)
    assert not any(isinstance(each, Patch) for each in plan(whole(cluster, default_group=None), NOW).actions)
    shown = parts_of(a_cluster(2))["default_group"]
    assert said(plan(whole(cluster, default_group=shown), NOW))[0] == [WIPED]


def test_a_group_that_is_going_is_not_patched():
    cluster = a_cluster(5, defaultGroupReplicas=2)
    group = parts_of(a_cluster(2))["default_group"]
    group["metadata"]["deletionTimestamp"] = ago(1)
    assert plan(whole(cluster, default_group=group), NOW) == Plan()


def test_a_cluster_that_is_going_is_left_alone():
    cluster = a_cluster()
    cluster["metadata"]["deletionTimestamp"] = ago(1)
    seen = Observed(cluster)
    assert plan(seen, NOW) == Plan()
    assert conclude(seen, Plan(), [], NOW) is None


def ended(created: str, finished: str) -> dict[str, Any]:
    pod = parts_of(a_cluster())["scheduler"]
    terminated = {"state": {"terminated": {"finishedAt": finished}}}
    status = {"phase": "Failed", "containerStatuses": [terminated]}
    return {**pod, "metadata": {**pod["metadata"], "creationTimestamp": created}, "status": status}


def test_a_scheduler_that_has_ended_is_cleared_away():
    made = plan(whole(scheduler=ended(ago(600), ago(1))), NOW)
    assert said(made) == [["delete foo-scheduler"]]
    assert isinstance(made.actions[0], Delete)
    assert made.actions[0].uid == "u-scheduler"


def test_one_that_ended_at_once_is_cleared_away_a_little_later():
    assert plan(whole(scheduler=ended(ago(5), ago(4))), NOW) == Plan(wake_after=6.0)


def test_what_somebody_else_owns_is_neither_touched_nor_fought_over():
    seen = whole(scheduler=foreign(parts_of(a_cluster())["scheduler"]))
    assert plan(seen, NOW) == Plan()
    accepted = find(conclude(seen, Plan(), [], NOW).status["conditions"], "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("False", "NameTaken")
    assert "'foo-scheduler'" in accepted["message"]


def test_what_an_earlier_cluster_of_the_name_left_is_waited_for():
    left = foreign(parts_of(a_cluster())["scheduler"], kind="DaskCluster", name="foo", uid="u-earlier")
    status = conclude(whole(scheduler=left), Plan(), [], NOW).status
    assert find(status["conditions"], "Accepted")["status"] == "True"
    assert find(status["conditions"], "SchedulerReady")["reason"] == "SchedulerMissing"
    assert status["phase"] == "Created"


def test_a_name_that_no_service_can_have_is_an_error_and_nothing_is_made():
    cluster = a_cluster()
    cluster["metadata"]["name"] = "1abc"
    seen = Observed(cluster)
    assert plan(seen, NOW) == Plan()
    said = conclude(seen, Plan(), [], NOW)
    assert said.status["phase"] == "Error"
    assert [note.reason for note in said.notes] == ["Invalid"]
    assert "'1abc'" in said.notes[0].message


def test_what_was_just_refused_is_not_asked_again():
    assert plan(Observed(a_cluster(), cooling=9.0), NOW) == Plan(wake_after=9.0)


def test_a_refusal_is_an_error_until_it_is_over():
    create = plan(Observed(a_cluster()), NOW).stages[0][1]
    outcome = Outcome(create, "refused", "Invalid", "spec.containers[0].image: Required value")
    first = conclude(Observed(a_cluster()), Plan(), [outcome], NOW)
    assert first.status["phase"] == "Error"
    assert first.wake_after
    cluster = a_cluster(**first.status)
    assert conclude(Observed(cluster, cooling=5.0), Plan(), [], NOW).status["phase"] == "Error"
    # What was in the way may be gone: a Service with the same port, a policy, a default of the operator's.
    assert plan(Observed(cluster), NOW).actions
    assert conclude(whole(cluster), Plan(), [], NOW).status["phase"] == "Running"


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({"scheduler": None}, "Created"),
        ({"scheduler": parts_of(a_cluster(), ready=False)["scheduler"]}, "Pending"),
        ({}, "Running"),
    ],
)
def test_phases(changes, phase):
    assert conclude(whole(**changes), Plan(), [], NOW).status["phase"] == phase


def test_status_of_a_running_cluster():
    status = conclude(whole(), Plan(), [], NOW).status
    assert {item["type"]: item["status"] for item in status["conditions"]} == {
        "Accepted": "True",
        "SchedulerReady": "True",
        "WorkersReady": "True",
        "Ready": "True",
        "UpToDate": "True",
        "SchedulerProtected": "True",
    }
    assert (status["replicas"], status["selector"]) == (2, "a=b")
    assert (status["desiredWorkers"], status["readyWorkers"], status["pendingWorkers"]) == (2, 2, 0)
    assert status["schedulerAddress"] == "tcp://foo-scheduler.ns.svc:8786"
    assert status["observedGeneration"] == 3
    assert "defaultGroupReplicas" not in status


def test_workers_of_all_groups_are_counted():
    counted = {"desiredReplicas": 2, "readyReplicas": 1, "pendingReplicas": 1, "observedGeneration": 1}
    groups = [a_group(2, **counted), a_group(2, **counted), a_group()]
    status = conclude(whole(groups=groups), Plan(), [], NOW).status
    assert (status["desiredWorkers"], status["readyWorkers"], status["pendingWorkers"]) == (4, 2, 2)


@pytest.mark.parametrize("observed", [{}, {"observedGeneration": 0}])
def test_workers_that_nobody_has_counted_are_not_ready(observed):
    groups = [a_group(2, desiredReplicas=0, readyReplicas=0, **observed)]
    status = conclude(whole(groups=groups), Plan(), [], NOW).status
    ready = next(item for item in status["conditions"] if item["type"] == "WorkersReady")
    assert (ready["status"], ready["reason"]) == ("False", "WorkersPending")


def test_what_has_not_changed_is_said_in_the_same_words_and_told_once():
    first = conclude(whole(), Plan(), [], NOW)
    assert [note.reason for note in first.notes] == ["SchedulerReady"]
    cluster = a_cluster(2, defaultGroupReplicas=2, **first.status)
    again = conclude(whole(cluster), Plan(), [], NOW.replace(hour=18))
    assert again.status == first.status
    assert not again.notes


def test_the_loss_of_a_scheduler_is_told():
    cluster = a_cluster(2, defaultGroupReplicas=2, **conclude(whole(), Plan(), [], NOW).status)
    lost = conclude(whole(cluster, scheduler=None), Plan(), [], NOW)
    assert [note.reason for note in lost.notes] == ["SchedulerLost"]
