"""Row 32: a scheduler that is lost is noticed, counted, and replaced or not as the policy says."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.operator.daskcluster.plan import plan
from dask_gpu_k8s.operator.engine.actions import Delete, Plan
from tests.unit.operator.builders import NOW, ago
from tests.unit.operator.daskcluster.views import Life, brief, whole


def terminated(restarts: int = 0, **status: Any) -> dict[str, Any]:
    container = {
        "name": "scheduler",
        "restartCount": restarts,
        "state": {"terminated": {"finishedAt": ago(1)}},
    }
    return {"containerStatuses": [container], "conditions": [{"type": "Ready", "status": "False"}], **status}


def restarted(times: int, *, ready: bool = True) -> dict[str, Any]:
    container = {"name": "scheduler", "restartCount": times, "state": {"running": {"startedAt": ago(1)}}}
    condition = {"type": "Ready", "status": str(ready)}
    return {"containerStatuses": [container], "conditions": [condition]}


def briefs(actions: list[Any]) -> list[str]:
    return [brief(action) for action in actions]


def test_row_32_a_deleted_scheduler_is_made_again_and_counted():
    life = Life()
    life.sees()
    assert (life.phase, life.restarts) == ("Running", 0)
    assert life.condition("SchedulerLost") == {}
    assert briefs(life.sees(scheduler=None)) == ["create pod foo-scheduler"]
    assert life.holds("SchedulerLost") == ("True", "Replacing")
    life.sees(scheduler=life.pod("u-second", ready=False))
    assert life.restarts == 1
    life.sees(scheduler=life.pod("u-second"))
    assert (life.phase, life.restarts) == ("Running", 1)
    assert life.holds("SchedulerLost") == ("False", "StartedAgain")
    assert "once" in life.condition("SchedulerLost")["message"]
    life.sees(scheduler=life.pod("u-third"))
    assert life.restarts == 2, "also if nobody saw the name free"
    assert life.told == ["SchedulerReady", "SchedulerLost", "SchedulerReady"]


def test_row_32_containers_and_pods_are_counted_together():
    life = Life()
    life.sees(scheduler=life.pod(**restarted(2)))
    assert life.restarts == 2
    life.sees(scheduler=life.pod("u-second", **restarted(0)))
    assert life.restarts == 3
    life.sees(scheduler=life.pod("u-second", **restarted(1, ready=False)))
    assert life.restarts == 4
    assert life.holds("SchedulerLost") == ("True", "Replacing")
    life.sees(scheduler=life.pod("u-second", **restarted(1)))
    assert life.holds("SchedulerLost") == ("False", "StartedAgain")


def test_restarts_of_a_sidecar_are_not_the_schedulers():
    life = Life()
    pod = life.pod(**restarted(0))
    pod["status"]["containerStatuses"].insert(0, {"name": "kerberos", "restartCount": 9, "state": {}})
    life.sees(scheduler=pod)
    assert life.restarts == 0


def test_a_restart_of_the_operator_counts_nothing_twice():
    life = Life()
    for _ in range(3):
        life.sees(scheduler=life.pod(**restarted(1)))
    assert life.restarts == 1


LOSSES = {
    "deleted": {"scheduler": None},
    "ended": {"phase": "Failed", **terminated()},
    "evicted": {"phase": "Failed", "reason": "Evicted"},
    "going": {"metadata": {"deletionTimestamp": ago(1), "deletionGracePeriodSeconds": 30}},
    "restarted": restarted(1),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_row_32_policy_fail_makes_nothing_until_people_act(loss):
    life = Life(lossPolicy="Fail")
    life.sees()
    change = LOSSES[loss]
    seen = change if "scheduler" in change else {"scheduler": life.pod(**change)}
    assert life.sees(**seen) == []
    assert life.phase == "Failed"
    assert life.holds("SchedulerLost") == ("True", "LossPolicyFail")
    assert "kubectl patch daskcluster foo" in life.condition("SchedulerLost")["message"]
    for _ in range(3):
        assert life.sees(**seen, service=None, default_group=None) == []
    assert life.told.count("SchedulerLost") == 1


@pytest.mark.parametrize(
    "edit", [{"scheduler": {"lossPolicy": "Restart"}}, {"idleTimeout": 5}], ids=["policy", "any"]
)
def test_row_32_an_edit_after_a_failure_begins_anew(edit):
    life = Life(lossPolicy="Fail")
    life.sees()
    life.sees(scheduler=None)
    life.edit(**edit)
    assert "create pod foo-scheduler" in briefs(life.sees(scheduler=None))
    assert life.phase != "Failed"
    assert life.sees(scheduler=None), "while the cache does not show the new one yet"
    life.sees(scheduler=life.pod("u-second", ready=False))
    assert life.phase == "Pending"
    life.sees(scheduler=life.pod("u-second"))
    assert (life.phase, life.restarts) == ("Running", 1)
    again = life.sees(scheduler=None)
    assert (life.phase, again) == (("Failed", []) if "idleTimeout" in edit else (life.phase, again))


def test_a_view_from_the_past_fails_nothing_for_good():
    life = Life(lossPolicy="Fail")
    life.sees()
    life.sees(scheduler=None)
    life.sees()
    assert life.phase == "Running"


def test_a_scheduler_that_was_never_ready_is_not_lost():
    life = Life(lossPolicy="Fail")
    life.sees(scheduler=life.pod(ready=False))
    assert briefs(life.sees(scheduler=None)) == ["create pod foo-scheduler"]
    assert life.condition("SchedulerLost") == {}


def terminating(seconds_ago: float, grace: int = 30, **more: Any) -> dict[str, Any]:
    return {"deletionTimestamp": ago(seconds_ago), "deletionGracePeriodSeconds": grace, **more}


def test_row_32_a_scheduler_stuck_on_a_lost_node_is_deleted_by_force():
    life = Life()
    life.sees()
    pod = life.pod(ready=False, metadata=terminating(10))
    (force,) = life.sees(scheduler=pod)
    assert isinstance(force, Delete)
    assert (force.name, force.uid, force.grace_seconds) == ("foo-scheduler", "u-scheduler", 0)
    assert "DeletedByForce" in life.told


@pytest.mark.parametrize(
    ("ready", "metadata", "wait"),
    [
        (False, terminating(-25), 35.0),
        (False, terminating(4), 6.0),
        (True, terminating(400), None),
        (False, terminating(400, 0, finalizers=["dask.kopf.dev/logs"]), None),
    ],
    ids=["in its grace", "just over it", "ready", "forced already"],
)
def test_one_that_may_still_end_by_itself_is_waited_for(ready, metadata, wait):
    life = Life()
    seen = whole(life.cluster, scheduler=life.pod(ready=ready, metadata=metadata))
    assert plan(seen, NOW) == Plan(wake_after=wait)


def test_what_an_earlier_cluster_left_on_a_lost_node_is_deleted_by_force_too():
    life = Life()
    owner = {"kind": "DaskCluster", "name": "foo", "uid": "u-earlier", "controller": True}
    left = life.pod("u-old", ready=False, metadata=terminating(60, ownerReferences=[owner]))
    (force,) = life.sees(scheduler=left)
    assert (force.uid, force.grace_seconds) == ("u-old", 0)
    stranger = life.pod("u-other", ready=False, metadata=terminating(60, ownerReferences=[]))
    assert life.sees(scheduler=stranger) == []


def test_row_54_a_finalizer_that_keeps_the_name_is_named():
    life = Life()
    life.sees()
    metadata = terminating(400, 0, finalizers=["dask.kopf.dev/logs"])
    assert life.sees(scheduler=life.pod(ready=False, metadata=metadata)) == []
    assert life.holds("SchedulerReady") == ("False", "NameBlocked")
    message = life.condition("SchedulerReady")["message"]
    assert "dask.kopf.dev/logs" in message
    assert "kubectl patch pod foo-scheduler -n ns" in message
    assert life.told.count("NameBlocked") == 1


def test_one_whose_node_is_silent_goes_at_once():
    life = Life()
    life.sees()
    pod = life.pod(metadata=terminating(-25))
    (force,) = life.sees(scheduler=pod, is_scheduler_silent=True)
    assert force.grace_seconds == 0
    stays = life.pod()
    assert life.sees(scheduler=stays, is_scheduler_silent=True) == [], (
        "Kubernetes decides when it is given up"
    )
