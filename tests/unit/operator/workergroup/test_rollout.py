"""An edited template: who makes way, how many at a time, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.operator.engine.actions import Plan, Retire
from dask_gpu_k8s.operator.objects.workers import make_worker_pod, template_mark
from dask_gpu_k8s.operator.workergroup.plan import plan
from dask_gpu_k8s.operator.workergroup.rollout import Strategy
from dask_gpu_k8s.operator.workergroup.status import conclude
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
    unready,
)
from tests.unit.operator.workergroup.test_plan import said


def known(count: int, **more: Any) -> dict[str, Any]:
    return {address: fact for index in range(count) for address, fact in facts(index, **more).items()}


def with_strategy(replicas: int, **strategy: Any) -> dict[str, Any]:
    group = a_group(replicas)
    return {**group, "spec": {**group["spec"], "updateStrategy": strategy}}


def sent_off(made: Plan) -> list[str]:
    return [name for stage in said(made) for what, name in stage if what == "mark"]


def test_row_21_a_mark_changes_with_the_template_and_with_nothing_else():
    cluster, group = a_cluster(), a_group()
    mark = template_mark(cluster, group)
    assert template_mark(cluster, a_group(7)) == mark
    for change in ({"spec": {"containers": []}}, {"metadata": {"labels": {"a": "b"}}}):
        worker = {**group["spec"]["worker"], **change}
        assert template_mark(cluster, {**group, "spec": {**group["spec"], "worker": worker}}) != mark
    assert make_worker_pod(cluster, group, 0)["metadata"]["annotations"][labels.TEMPLATE] == mark


def test_a_pod_that_does_not_say_its_template_counts_as_current():
    pod = a_worker(0)
    pod["metadata"]["annotations"] = {}
    assert plan(a_view([pod], 1), NOW) == Plan()


@pytest.mark.parametrize(
    ("asked", "desired", "allowed"),
    [
        ("25%", 8, 2),
        ("25%", 3, 1),
        ("100%", 3, 3),
        (2, 8, 2),
        (0, 8, 1),
        ("0%", 8, 1),
        ("3", 8, 3),
        ("25%", 0, 1),
    ],
)
def test_how_many_may_be_missing(asked, desired, allowed):
    assert Strategy(max_unavailable=asked).allowed(desired) == allowed


def test_row_21_rolling_retires_a_few_at_a_time_the_cheapest_first():
    pods = [outdated(index) for index in range(8)]
    workers = {**known(8, nbytes=100), **facts(3, nbytes=1), **facts(5, nbytes=2)}
    assert sent_off(plan(a_view(pods, 8, workers=workers), NOW)) == [name_of(3), name_of(5)]


def test_rolling_waits_until_those_that_took_a_place_are_ready():
    pods = [*(outdated(index) for index in range(3)), unready(a_worker(3))]
    assert sent_off(plan(a_view(pods, 4, workers=known(4)), NOW)) == []
    assert sent_off(plan(a_view([*pods[:3], a_worker(3)], 4, workers=known(4)), NOW))


def test_row_21_outdated_pods_that_never_became_ready_go_at_once_and_beside_the_limit():
    pods = [
        outdated(0),
        outdated(1),
        outdated(2, state="scheduled"),
        outdated(3, state="unscheduled"),
        unready(outdated(4)),
        a_worker(5),
    ]
    made = plan(a_view(pods, 6, workers=known(2)), NOW)
    assert said(made) == [
        [
            ("delete if unchanged", name_of(2)),
            ("delete if unchanged", name_of(3)),
            ("mark", name_of(4)),
        ]
    ]


def test_a_mended_template_does_not_wait_for_the_back_off_of_the_bad_one():
    pod = outdated(1, state="Failed", created=ago(5), ended=ago(3))
    pod["metadata"]["annotations"][labels.FAILURES] = "9"
    made = plan(a_view([a_worker(0), pod]), NOW)
    assert said(made) == [[("reserve", 11)], [("delete", name_of(1)), ("create", name_of(10))]]
    assert labels.FAILURES not in made.actions[-1].body["metadata"]["annotations"]


def test_recreate_sends_off_all_and_none_nobody():
    pods = [outdated(0), outdated(1), a_worker(2)]
    workers = known(3)
    made = plan(a_view(pods, 3, workers=workers, group=with_strategy(3, type="Recreate")), NOW)
    assert sent_off(made) == [name_of(0), name_of(1)]
    seen = a_view(pods, 3, workers=workers, group=with_strategy(3, type="None"))
    assert plan(seen, NOW) == Plan()
    found = find(conclude(seen, Plan(), [], NOW).status["conditions"], "UpToDate")
    assert (found["status"], found["reason"]) == ("False", "UpdateStrategyNone")


def test_the_groups_own_strategy_comes_before_its_clusters():
    cluster = a_cluster(3)
    cluster["spec"]["updateStrategy"] = {"type": "None"}
    pods = [outdated(0), a_worker(1), a_worker(2)]
    assert plan(a_view(pods, 3, workers=known(3), cluster=cluster), NOW) == Plan()
    own = with_strategy(3, maxUnavailable=1)
    assert sent_off(plan(a_view(pods, 3, workers=known(3), cluster=cluster, group=own), NOW)) == [name_of(0)]


def test_nobody_is_sent_off_who_could_not_be_replaced():
    pods = [outdated(0), a_worker(1)]
    assert plan(a_view(pods, 2, workers=known(2), cooling=9.0), NOW) == Plan(wake_after=9.0)


def test_without_its_scheduler_running_workers_stay():
    pods = [outdated(0), outdated(1, state="scheduled")]
    group = with_strategy(2, maxUnavailable=2)
    made = plan(a_view(pods, 2, workers=None, unreachable="refused", group=group), NOW)
    assert said(made) == [[("delete if unchanged", name_of(1))]]
    assert made.wake_after


def test_shrinking_takes_outdated_workers_before_others_of_the_same_kind():
    pods = [a_worker(0), outdated(1), a_worker(2)]
    workers = {**facts(0, nbytes=1), **facts(1, nbytes=50), **facts(2, tasks=1)}
    assert sent_off(plan(a_view(pods, 2, workers=workers), NOW)) == [name_of(1)]


@pytest.mark.parametrize(("since", "forced"), [(5, False), (61, True)])
def test_a_rollout_is_not_held_up_for_ever_by_data_that_nobody_takes(since, forced):
    pods = [outdated(0, marked=f"rollout {ago(since)}"), a_worker(1, state="scheduled")]
    (retire,) = plan(a_view(pods, 1, workers={**facts(0, running=False)}), NOW).actions
    assert isinstance(retire, Retire)
    assert retire.forced == ({name_of(0)} if forced else set())
    assert retire.hurried == retire.forced


def test_row_21_the_status_counts_those_that_are_updated():
    seen = a_view([outdated(0), a_worker(1), outdated(2, state="unscheduled")], 3, workers=known(2))
    status = conclude(seen, Plan(), [], NOW).status
    assert status["updatedReplicas"] == 1
    found = find(status["conditions"], "UpToDate")
    assert (found["status"], found["reason"]) == ("False", "RollingOut")
    assert "2 of 3" in found["message"]
    done = conclude(a_view([a_worker(0)], 1), Plan(), [], NOW).status
    assert find(done["conditions"], "UpToDate")["status"] == "True"
