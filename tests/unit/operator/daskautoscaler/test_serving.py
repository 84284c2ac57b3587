"""Whom an autoscaler serves, and what that means for its group and its cluster."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.operator import daskcluster, workergroup
from dask_gpu_k8s.operator.autoscalers import as_wanted, server_of
from dask_gpu_k8s.operator.engine.actions import Retire
from dask_gpu_k8s.operator.objects.workers import replicas_of
from tests.unit.operator.builders import (
    NOW,
    OLD,
    a_cluster,
    a_group,
    a_view,
    a_worker,
    ago,
    facts,
    parts_of,
)
from tests.unit.operator.daskautoscaler.builders import World, an_autoscaler
from tests.unit.operator.daskautoscaler.test_deciding import wanting

LATER = "2026-01-31T11:30:00Z"


def test_its_name_is_its_own():
    """REANA's autoscaler has another name than its cluster."""
    world = World(an_autoscaler("whatever"))
    world.answer = wanting(5)
    assert world.after(5, "whatever") == 5


def test_it_is_given_its_cluster_as_owner_first():
    world = World(an_autoscaler(adopted=False))
    world.answer = wanting(5)
    planned, _ = world.look()
    (adoption,) = planned.actions
    (owner,) = adoption.patch["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("DaskCluster", "foo", True)
    assert world.after(5) == 5


def test_an_owner_that_somebody_gave_it_stays():
    scaler = an_autoscaler(adopted=False)
    scaler["metadata"]["ownerReferences"] = [{"kind": "X", "name": "x", "uid": "x", "controller": True}]
    world = World(scaler)
    world.look()
    owners = world.autoscalers[0]["metadata"]["ownerReferences"]
    assert [(owner["kind"], owner["controller"]) for owner in owners] == [("X", True), ("DaskCluster", False)]


def test_two_for_one_group_is_a_condition_on_the_younger_one():
    world = World(an_autoscaler("a-young-one", created=LATER), an_autoscaler("old", maximum=3))
    world.answer = wanting(8)
    world.after(5, "a-young-one")
    assert world.after(5, "old") == 3
    assert world.condition("Active", "a-young-one") == ("False", "AnotherAutoscaler")
    assert "'old' is older and serves 'foo-default'" in world.message(name="a-young-one")
    assert world.condition("Active", "old")[0] == "True"


def test_the_younger_one_takes_over_from_where_the_group_is():
    young = an_autoscaler("young", created=LATER)
    young["status"] = {"desiredReplicas": 9}
    world = World(an_autoscaler("old"), young)
    world.answer = wanting(4)
    world.after(5, "young")
    assert "desiredReplicas" not in world.autoscalers[1]["status"], "what it said does not count any more"
    world.after(5, "old")
    del world.autoscalers[0]
    assert world.after(5, "young") == 4


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"cluster": "bar"}, "ClusterNotFound", "no DaskCluster 'bar'"),
        ({"workerGroup": "foo-gpu"}, "WorkerGroupNotFound", "no DaskWorkerGroup 'foo-gpu'"),
        ({"minimum": 5, "maximum": 2}, "BoundsInvalid", "spec.minimum, 5, is more than spec.maximum, 2"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_done(spec, reason, words):
    world = World(an_autoscaler(**spec))
    world.answer = wanting(7)
    assert world.after(5) == 2
    assert world.condition("Active") == ("False", reason)
    assert words in world.message()


def test_a_group_of_another_cluster_is_not_served():
    world = World(an_autoscaler())
    group = world.groups[0]
    group["spec"] = {**group["spec"], "cluster": "bar"}
    world.look()
    assert world.condition("Active") == ("False", "OtherCluster")


def test_one_that_is_being_deleted_does_nothing():
    scaler = an_autoscaler()
    scaler["metadata"]["deletionTimestamp"] = OLD
    world = World(scaler)
    world.answer = wanting(7)
    planned, said = world.look()
    assert (planned.actions, said) == ((), None)


def test_a_group_goes_by_the_word_of_its_autoscaler():
    scaler = an_autoscaler()
    group = a_group(3)
    assert as_wanted(group, None) is group
    assert as_wanted(group, scaler) is group
    scaler["status"] = {"desiredReplicas": 7}
    assert replicas_of(as_wanted(group, scaler)) == 7
    assert replicas_of(group) == 3


def test_who_serves_a_group():
    group = a_group()
    old, young = an_autoscaler("b"), an_autoscaler("a", created=LATER)
    assert server_of(None, [old]) is None
    assert server_of(group, [young, old]) is old
    assert server_of(group, [an_autoscaler("a"), old])["metadata"]["name"] == "a"
    assert server_of(group, [an_autoscaler(cluster="bar", workerGroup="foo-default")]) is None
    assert server_of(group, [an_autoscaler(minimum=3, maximum=2)]) is None
    assert server_of(group, [an_autoscaler(workerGroup="foo-default")]) is not None


def test_an_edit_of_the_clusters_replicas_is_remembered_and_not_passed_on():
    """GitOps: whoever applies the cluster again does not fight with its autoscaler."""
    cluster = a_cluster(9, defaultGroupReplicas=2, phase="Running")
    seen = daskcluster.observe.Observed(cluster, **parts_of(cluster), autoscaled=True)
    seen.default_group["spec"]["worker"]["replicas"] = 4
    written = [action.patch.get("status") for action in daskcluster.plan.plan(seen, NOW).actions]
    assert written == [{"defaultGroupReplicas": 9}]
    cluster = a_cluster(9, phase="Running")  # Whatever was passed on last is wiped before that.
    freed = daskcluster.observe.Observed(cluster, **parts_of(cluster))
    freed.default_group["spec"]["worker"]["replicas"] = 4
    (action,) = daskcluster.plan.plan(freed, NOW).actions
    assert action.patch["spec"]["worker"]["replicas"] == 9


@pytest.mark.parametrize(("autoscaled", "forced"), [(True, set()), (False, {0})])
def test_an_autoscaler_never_drops_a_sole_copy(autoscaled, forced):
    """At 0 workers, somebody's explicit wish would delete those whose data nobody can take."""
    pods = [a_worker(0, marked=f"scale-down {ago(600)}")]
    seen = a_view(pods, 0, workers=facts(0), autoscaled=autoscaled)
    (retire,) = workergroup.plan.plan(seen, NOW).actions
    assert isinstance(retire, Retire)
    assert retire.forced == {pods[index]["metadata"]["name"] for index in forced}
