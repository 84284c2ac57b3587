"""Row 24: no Pod while a cluster is suspended; what protects a cluster; what its status says."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dask_gpu_k8s.api.resources import BUDGET, POD
from dask_gpu_k8s.operator.daskcluster.plan import plan
from dask_gpu_k8s.operator.daskcluster.status import conclude
from dask_gpu_k8s.operator.engine.actions import Create, Outcome, Plan
from dask_gpu_k8s.operator.objects.protection import make_network_policy
from tests.unit.operator.builders import NOW, parts_of, stored
from tests.unit.operator.daskcluster.views import Life, brief, whole


def briefs(actions: list[Any]) -> list[str]:
    return [brief(action) for action in actions]


def test_row_24_no_pod_while_suspended_and_all_back_afterwards():
    life = Life(lossPolicy="Fail")
    life.sees()
    life.edit(suspend=True)
    assert briefs(life.sees(workers_left=2)) == [
        "patch foo {'status': {'schedulerPod': None}}",
        "delete foo-scheduler",
    ]
    assert life.phase == "Suspending"
    assert life.last.wake_after == 1.0
    assert life.sees(scheduler=None) == []
    assert life.phase == "Suspended"
    assert life.holds("Suspended") == ("True", "Suspended")
    assert life.holds("Ready") == ("False", "Suspended")
    assert life.holds("WorkersReady") == ("False", "Suspended")
    assert life.last.wake_after is None
    life.edit(suspend=False)
    assert briefs(life.sees(scheduler=None)) == ["create pod foo-scheduler"]
    life.sees(scheduler=life.pod("u-second"))
    assert (life.phase, life.restarts) == ("Running", 0), "to suspend is not to lose"
    assert life.told == ["SchedulerReady", "Suspended", "Resumed", "SchedulerReady"]


def test_row_24_born_suspended_it_has_all_but_pods():
    life = Life()
    life.cluster["spec"]["suspend"] = True
    none = dict.fromkeys(["scheduler", "service", "cluster_ip_service", "default_group", "budget"])
    made = [each for each in life.sees(**none, groups=[]) if isinstance(each, Create)]
    assert POD not in [each.resource for each in made]
    assert len(made) == 4
    assert life.phase == "Suspended"


def test_row_24_the_scheduler_stays_where_only_the_workers_are_suspended():
    life = Life()
    life.edit(suspendWorkers=True)
    assert life.sees(workers_left=2) == []
    assert life.holds("Suspended") == ("False", "Suspending")
    life.sees()
    assert life.phase == "Running"
    assert life.holds("Suspended") == ("True", "WorkersSuspended")
    assert life.holds("Ready") == ("True", "SchedulerReady")


def test_who_never_suspends_hears_nothing_of_it():
    life = Life()
    life.sees()
    assert life.condition("Suspended") == {}
    assert life.condition("NetworkRestricted") == {}


def test_the_budget_can_be_done_without():
    life = Life()
    life.sees()
    assert life.holds("SchedulerProtected") == ("True", "PodDisruptionBudget")
    life.edit(scheduler={"podDisruptionBudget": False})
    assert briefs(life.sees()) == ["delete foo-scheduler"]
    life.sees(budget=None)
    assert life.holds("SchedulerProtected") == ("False", "OptedOut")


def test_a_budget_that_is_refused_stops_nothing():
    life = Life()
    seen = whole(copy.deepcopy(life.cluster), budget=None)
    made = plan(seen, NOW)
    (create,) = made.actions
    refused = Outcome(create, "refused", "Forbidden", "not here")
    status = conclude(seen, made, [refused], NOW).status
    assert create.resource == BUDGET
    assert status["phase"] == "Running"
    life.cluster["status"] = status
    assert life.holds("SchedulerProtected") == ("False", "Forbidden")


def test_row_39_the_policy_is_there_before_what_it_protects():
    life = Life()
    life.cluster["spec"]["networkPolicy"] = True
    made = plan(whole(life.cluster, scheduler=None, service=None), NOW)
    assert [brief(each) for each in made.stages[0]] == ["create networkpolicy foo-network"]
    assert "create pod foo-scheduler" in [brief(each) for each in made.stages[1]]


def test_row_39_peers_may_change_and_the_cluster_be_opened_again():
    life = Life()
    life.edit(networkPolicy=True)
    policy = stored(make_network_policy(life.cluster, "home"), "u-policy")
    assert life.sees(policy=policy, home="home") == []
    assert life.holds("NetworkRestricted") == ("True", "NetworkPolicy")
    life.edit(networkPolicyFrom=[{"ipBlock": {"cidr": "10.0.0.0/8"}}])
    (patch,) = life.sees(policy=policy, home="home")
    assert {"ipBlock": {"cidr": "10.0.0.0/8"}} in patch.patch["spec"]["ingress"][0]["from"]
    life.edit(networkPolicy=False)
    assert briefs(life.sees(policy=policy, home="home")) == ["delete foo-network"]
    life.sees(home="home")
    assert life.holds("NetworkRestricted") == ("False", "Open")


@pytest.mark.parametrize("message", ['pods "foo-scheduler" is forbidden: exceeded quota: q, requested: …'])
def test_row_54_a_quota_refusal_is_a_condition(message):
    life = Life()
    seen = whole(copy.deepcopy(life.cluster), scheduler=None, default_group=None, groups=[])
    made = plan(seen, NOW)
    kinds = [[each.resource.kind for each in stage if isinstance(each, Create)] for stage in made.stages]
    assert kinds.index(["Pod"]) < kinds.index(["DaskWorkerGroup"]), "workers come after the scheduler"
    refused = Outcome(made.actions[0], "refused", "Forbidden", message)
    concluded = conclude(seen, made, [refused], NOW)
    life.cluster["status"] = concluded.status
    assert life.phase == "Error"
    assert life.holds("Accepted") == ("False", "QuotaExceeded")
    assert life.condition("Accepted")["message"] == message
    assert concluded.wake_after == 30.0
    cooling = whole(copy.deepcopy(life.cluster), scheduler=None, default_group=None, groups=[], cooling=12.0)
    assert plan(cooling, NOW) == Plan(wake_after=12.0)
    again = conclude(cooling, Plan(), [], NOW)
    assert not again.notes
    assert again.status["conditions"] == life.cluster["status"]["conditions"]


def test_row_20_the_cluster_says_why_its_workers_are_not_ready():
    why = "0 of 2 ready; 2: fits on no node: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    group = copy.deepcopy(parts_of(Life().cluster)["default_group"])
    group["status"].update(
        readyReplicas=0,
        conditions=[{"type": "Ready", "status": "False", "reason": "Unschedulable", "message": why}],
    )
    life = Life()
    life.sees(groups=[group], default_group=group)
    assert life.holds("WorkersReady") == ("False", "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in life.condition("WorkersReady")["message"]
