"""Every case of a worker group: what is there, and what is to be done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.engine.actions import Create, Delete, Patch, Plan, Retire
from dask_gpu_k8s.operator.engine.facts import WorkerFacts
from dask_gpu_k8s.operator.workergroup.leaving import DRAIN_TIMEOUT
from dask_gpu_k8s.operator.workergroup.plan import BATCH, plan
from dask_gpu_k8s.operator.workergroup.status import conclude
from dask_gpu_k8s.operator.workergroup.victims import has_strangers, match
from tests.unit.operator.builders import (
    NOW,
    a_cluster,
    a_group,
    a_view,
    a_worker,
    ago,
    facts,
    name_of,
    outdated,
)


def said(plan: Plan) -> list[list[tuple[str, Any]]]:
    """Write a plan briefly."""
    return [[_brief(action) for action in stage] for stage in plan.stages]


def _brief(action: Any) -> tuple[str, Any]:
    if isinstance(action, Create):
        return "create", action.body["metadata"]["name"]
    if isinstance(action, Delete):
        return "delete if unchanged" if action.resource_version else "delete", action.name
    if isinstance(action, Retire):
        return "retire", tuple(pod.name for pod in action.pods)
    if action.sub:
        return "reserve", action.patch["status"]["counter"]
    return ("mark", action.name) if action.resource.kind == "Pod" else ("adopt", action.name)


def test_a_settled_group_needs_nothing():
    assert plan(a_view([a_worker(0), a_worker(1)]), NOW) == Plan()


def test_names_are_given_out_before_pods_are_made():
    made = plan(a_view([]), NOW)
    assert said(made) == [[("reserve", 12)], [("create", name_of(10)), ("create", name_of(11))]]
    (reserve,) = made.stages[0]
    assert isinstance(reserve, Patch)
    assert reserve.patch["metadata"] == {"resourceVersion": "7"}


def test_a_big_group_is_made_in_batches():
    made = plan(a_view([], BATCH + 1), NOW)
    assert len(made.stages[1]) == BATCH
    assert made.wake_after == 0


@pytest.mark.parametrize(
    "lost",
    [a_worker(1, deleted=True), a_worker(1, marked="scale-down"), a_worker(1, state="Failed", ended=ago(60))],
)
def test_what_is_lost_or_leaving_does_not_count(lost):
    made = plan(a_view([a_worker(0), lost], workers={}), NOW)
    assert ("create", name_of(10)) in said(made)[1]


@pytest.mark.parametrize("state", ["Failed", "Succeeded"])
def test_an_ended_pod_is_deleted_and_replaced(state):
    made = plan(a_view([a_worker(0), a_worker(1, state=state, ended=ago(60))]), NOW)
    assert said(made) == [[("reserve", 11)], [("delete", name_of(1)), ("create", name_of(10))]]


def test_an_ended_pod_that_was_to_go_is_not_waited_for():
    pod = a_worker(2, state="Succeeded", created=ago(5), ended=ago(3), marked="scale-down")
    made = plan(a_view([a_worker(0), a_worker(1), pod]), NOW)
    assert said(made) == [[("delete", name_of(2))]]


def test_pods_without_work_go_without_asking():
    pods = [a_worker(0), a_worker(1, state="unscheduled"), a_worker(2, state="scheduled")]
    made = plan(a_view(pods, 1), NOW)
    assert said(made) == [[("delete if unchanged", name_of(1)), ("delete if unchanged", name_of(2))]]
    assert [action.grace_seconds for action in made.actions if isinstance(action, Delete)] == [1, 1]


def test_workers_are_marked_before_anything_else():
    pods = [a_worker(0), a_worker(1), a_worker(2)]
    workers = {**facts(0, nbytes=9), **facts(1, nbytes=5), **facts(2, tasks=1)}
    made = plan(a_view(pods, 1, workers=workers), NOW)
    assert said(made) == [[("mark", name_of(1)), ("mark", name_of(0))]]
    mark = made.stages[0][0]
    assert isinstance(mark, Patch)
    assert mark.patch["metadata"] == {
        "resourceVersion": "7",
        "annotations": {labels.RETIRE: "scale-down 2026-01-31T12:00:00Z"},
    }


def test_marked_workers_are_retired_whatever_the_group_is_asked_for_now():
    pods = [a_worker(0), a_worker(1), a_worker(2, marked="scale-down")]
    made = plan(a_view(pods, 2, workers={**facts(0), **facts(1), **facts(2)}), NOW)
    assert said(made) == [[("retire", (name_of(2),))]]


def test_scaling_up_does_not_bring_a_marked_worker_back():
    pods = [a_worker(0), a_worker(1, marked="scale-down")]
    made = plan(a_view(pods, 2, workers={**facts(0), **facts(1)}), NOW)
    assert said(made) == [[("reserve", 11)], [("create", name_of(10)), ("retire", (name_of(1),))]]


def test_a_marked_pod_that_nobody_knows_or_that_never_ran_is_deleted():
    pods = [a_worker(0), a_worker(1, marked="x"), a_worker(2, state="unscheduled", marked="x")]
    made = plan(a_view(pods, 1, workers=facts(0)), NOW)
    assert said(made) == [[("delete", name_of(1)), ("delete if unchanged", name_of(2))]]
    # They could still register, and be given work, while they end.
    assert [action.grace_seconds for action in made.actions if isinstance(action, Delete)] == [1, 1]


def test_row_14_all_processes_of_a_pod_retire_together():
    name = name_of(1)
    workers = {**facts(0), **facts(1, name=f"{name}-0")}
    workers["tcp://10.0.0.2:40001"] = next(iter(facts(1, name=f"{name}-1").values()))
    made = plan(a_view([a_worker(0), a_worker(1, marked="x")], 1, workers=workers), NOW)
    (retire,) = made.actions
    assert isinstance(retire, Retire)
    assert retire.pods[0].addresses == ("tcp://10.0.0.2:40000", "tcp://10.0.0.2:40001")


def test_without_its_scheduler_no_worker_is_chosen_but_spare_ones_are():
    pods = [a_worker(0), a_worker(1), a_worker(2, state="unscheduled")]
    made = plan(a_view(pods, 1, workers=None, unreachable="refused"), NOW)
    assert said(made) == [[("delete if unchanged", name_of(2))]]
    assert made.wake_after


def test_without_its_scheduler_no_marked_worker_is_deleted():
    made = plan(a_view([a_worker(0), a_worker(1, marked="x")], 1, workers=None, unreachable="refused"), NOW)
    assert not made.actions
    assert made.wake_after


def test_ones_that_can_move_their_data_are_not_forced():
    pods = [a_worker(0, marked=f"scale-down {ago(5)}")]
    (retire,) = plan(a_view(pods, 0, workers={**facts(0, running=False), **facts(9)}), NOW).actions
    assert isinstance(retire, Retire)
    assert not retire.forced


@pytest.mark.parametrize(
    ("replicas", "others", "since", "forced"),
    [
        (0, {}, 0, True),  # nobody is left to take anything
        (0, facts(9, running=False), 0, True),  # somebody is, but takes nothing
        (0, facts(9), 61, True),  # it has been tried for long enough
        (1, facts(9, running=False), 600, False),  # only 0 is a wish to lose what cannot move
    ],
)
def test_scaling_to_nothing_does_not_hang_for_ever(replicas, others, since, forced):
    pods = [a_worker(0, marked=f"scale-down {ago(since)}"), *([a_worker(1)] if replicas else [])]
    workers = {**facts(0, running=False), **(facts(1, running=False) if replicas else {}), **others}
    (retire,) = plan(a_view(pods, replicas, workers=workers), NOW).actions
    assert isinstance(retire, Retire)
    assert retire.forced == ({name_of(0)} if forced else set())
    assert retire.limit == DRAIN_TIMEOUT


def test_a_retirement_names_all_others_that_are_on_their_way_out():
    pods = [a_worker(0), a_worker(1, marked="x"), a_worker(2, deleted=True)]
    workers = {address: fact for index in range(5) for address, fact in facts(index).items()}
    elsewhere = tuple(match([a_worker(3, marked="x"), a_worker(4, deleted=True)], workers))
    (retire,) = plan(a_view(pods, 1, workers=workers, elsewhere=elsewhere), NOW).actions
    assert isinstance(retire, Retire)
    assert [pod.name for pod in retire.pods] == [name_of(1)]
    assert retire.leaving == set(facts(3))
    assert retire.ending == {*facts(2), *facts(4)}


def test_a_mark_that_says_no_time_is_no_trouble():
    pods = [a_worker(0, marked="because")]
    (retire,) = plan(a_view(pods, 0, workers={**facts(0), **facts(9)}), NOW).actions
    assert isinstance(retire, Retire)
    assert not retire.forced


def test_nothing_is_planned_while_the_cache_lags_behind():
    made = plan(a_view([], settled=False), NOW)
    assert not made.actions
    assert made.wake_after


def test_nothing_is_made_without_a_cluster():
    assert plan(a_view([], cluster=None), NOW) == Plan()


def test_nothing_is_made_for_a_group_that_is_being_deleted():
    group = a_group()
    group["metadata"] = {**group["metadata"], "deletionTimestamp": ago(1)}
    assert plan(a_view([], group=group), NOW) == Plan()


def test_a_users_group_is_given_to_its_cluster_first():
    group = a_group()
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u-x"}
    group["metadata"] = {**group["metadata"], "ownerReferences": [foreign]}
    made = plan(a_view([], group=group), NOW)
    assert said(made) == [[("adopt", "foo-default")]]
    (adopt,) = made.actions
    assert isinstance(adopt, Patch)
    kept, added = adopt.patch["metadata"]["ownerReferences"]
    assert kept == foreign
    assert (added["kind"], added["uid"], added["controller"]) == ("DaskCluster", "u-cluster", True)
    assert adopt.patch["metadata"]["resourceVersion"] == "7"


def test_a_group_that_somebody_else_controls_keeps_that_controller():
    group = a_group()
    foreign = {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u-x", "controller": True}
    group["metadata"] = {**group["metadata"], "ownerReferences": [foreign]}
    (adopt,) = plan(a_view([], group=group), NOW).actions
    assert isinstance(adopt, Patch)
    assert adopt.patch["metadata"]["ownerReferences"][1]["controller"] is False


def test_row_6_what_an_earlier_cluster_left_is_not_adopted():
    """The collector would take the earlier owner off it, and leave it in the way of the cluster's own."""
    group = a_group()
    earlier = {"kind": "DaskCluster", "name": "foo", "uid": "u-earlier", "controller": True}
    group["metadata"] = {**group["metadata"], "ownerReferences": [earlier]}
    assert plan(a_view([], group=group), NOW) == Plan()
    half = {"kind": "DaskCluster", "name": "foo", "uid": "u-cluster", "controller": False}
    group["metadata"] = {**group["metadata"], "ownerReferences": [half]}
    (adopt,) = plan(a_view([], group=group), NOW).actions
    assert isinstance(adopt, Patch)
    (owner,) = adopt.patch["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == ("u-cluster", True)


def test_row_54_no_worker_is_made_before_the_scheduler():
    assert plan(a_view([], awaits_scheduler=True), NOW) == Plan()
    assert plan(a_view([], awaits_scheduler=False), NOW).actions


def test_row_54_what_took_the_schedulers_place_in_a_full_quota_makes_way():
    said_of = {"status": "False", "lastTransitionTime": ago(20)}
    cluster = a_cluster(
        conditions=[
            {**said_of, "type": "Accepted", "reason": "QuotaExceeded"},
            {**said_of, "type": "SchedulerReady", "reason": "SchedulerMissing"},
        ]
    )
    pods = [a_worker(0, created=ago(300)), a_worker(1, created=ago(15)), a_worker(2, created=ago(25))]
    made = plan(a_view(pods, 4, cluster=cluster, awaits_scheduler=True), NOW)
    assert said(made) == [[("delete", name_of(1)), ("delete", name_of(2))]]
    assert not plan(a_view(pods, 3, cluster=cluster), NOW).actions, "the scheduler has its place"
    assert not plan(a_view(pods, 3, awaits_scheduler=True), NOW).actions, "no quota is in the way"


def test_what_was_just_refused_is_not_asked_again():
    assert plan(a_view([], cooling=12.0), NOW) == Plan(wake_after=12.0)


@pytest.mark.parametrize("reason", ["QuotaExceeded", "CreateRefused"])
def test_row_54_after_a_refusal_one_pod_is_tried_and_its_name_is_taken_back_if_it_is_refused(reason):
    ready = {"type": "Ready", "status": "False", "reason": reason}
    made = plan(a_view([], 5, group=a_group(5, conditions=[ready], counter=7)), NOW)
    assert said(made) == [[("reserve", 8)], [("create", name_of(7))]]
    (create,) = made.stages[1]
    assert isinstance(create, Create)
    assert create.undo is not None
    assert create.undo.patch == [
        {"op": "test", "path": "/status/counter", "value": 8},
        {"op": "replace", "path": "/status/counter", "value": 7},
    ]


def test_what_was_invalid_is_tried_again_with_one_pod_and_costs_no_further_worker():
    invalid = {"type": "Ready", "status": "False", "reason": "Invalid", "observedGeneration": 1}
    group = a_group(2, conditions=[invalid], counter=10)
    assert said(plan(a_view([], group=group), NOW)) == [[("reserve", 11)], [("create", name_of(10))]]
    old = a_view([outdated(0), outdated(1)], group=group, workers={**facts(0), **facts(1)})
    assert plan(old, NOW) == Plan()
    group["metadata"] = {**group["metadata"], "generation": 2}
    assert [kind for stage in said(plan(old, NOW)) for kind, _ in stage] == ["mark"]


NOT_A_PODS = {"tcp://192.168.0.9:1": WorkerFacts("tcp://192.168.0.9:1", "192.168.0.9", 5, 0, True)}


@pytest.mark.parametrize(
    ("replicas", "marked", "made"),
    [
        (1, f"scale-down {ago(DRAIN_TIMEOUT + 9)}", []),
        (0, f"scale-down {ago(DRAIN_TIMEOUT - 9)}", []),
        (0, f"scale-down {ago(DRAIN_TIMEOUT + 9)}", [[("delete", name_of(0))]]),
    ],
)
def test_a_pod_stays_whose_worker_may_be_one_that_cannot_be_told_apart(replicas, marked, made):
    pods = [a_worker(0, marked=marked), *(a_worker(each) for each in range(1, replicas + 1))]
    workers = {**NOT_A_PODS, **(facts(1) if replicas else {})}
    assert has_strangers(pods, workers)
    seen = a_view(pods, replicas, workers=workers, strangers=True)
    planned = plan(seen, NOW)
    assert said(planned) == made
    if not made:
        assert planned.wake_after
        ready = find(conclude(seen, planned, [], NOW).status["conditions"], "ScalingDown")
        assert ready["reason"] == "WorkersUnknown"
    assert said(plan(a_view(pods, replicas, workers=workers), NOW)) == [[("delete", name_of(0))]]


states = st.sampled_from(["unscheduled", "scheduled", "running", "Failed"])


@given(
    pods=st.lists(st.tuples(states, st.booleans(), st.booleans()), max_size=6),
    replicas=st.integers(0, 5),
    known=st.sets(st.integers(0, 5)),
    reachable=st.booleans(),
)
def test_whatever_there_is(pods, replicas, known, reachable):
    made = [
        a_worker(index, state=state, marked="scale-down" if marked else "", deleted=deleted, ended=ago(60))
        for index, (state, marked, deleted) in enumerate(pods)
    ]
    workers = {address: fact for index in known for address, fact in facts(index).items()}
    seen = a_view(freeze(made), replicas, workers=workers if reachable else None)
    actions = plan(seen, NOW).actions
    created = sum(isinstance(action, Create) for action in actions)
    gone = {
        action.name
        for action in actions
        if isinstance(action, Patch | Delete) and action.resource.kind == "Pod"
    }
    counted = {name_of(i) for i, (state, *out) in enumerate(pods) if state != "Failed" and not any(out)}
    running = {name_of(i) for i, (state, *_) in enumerate(pods) if state == "running"}
    assert created == max(0, replicas - len(counted))
    assert len(counted - gone) + created >= min(replicas, len(counted) + created)
    if reachable:
        assert len(counted - gone) + created == replicas
    else:
        assert not running & gone
