"""A group whose workers somebody keeps as they are."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.operator.engine.actions import Plan
from dask_gpu_k8s.operator.workergroup.observe import _needs_scheduler
from dask_gpu_k8s.operator.workergroup.plan import plan
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
)
from tests.unit.operator.workergroup.test_plan import said

HELD: dict[str, Any] = {"frozen_by": ("ana", "ben"), "frozen_for": 30.0}
ALL = {**facts(0), **facts(1), **facts(2)}


def frozen(pods: list, replicas: int = 2, **more: Any) -> Any:
    return a_view(pods, replicas, **{**HELD, **more})


def status_of(view: Any) -> dict[str, Any]:
    return conclude(view, Plan(), [], NOW).status


@pytest.mark.parametrize(
    "pods",
    [
        [a_worker(0)],
        [a_worker(0), a_worker(1, state="unscheduled"), a_worker(2)],
        [a_worker(0), a_worker(1), a_worker(2)],
        [outdated(0), outdated(1)],
    ],
)
def test_no_worker_is_made_and_none_taken_away(pods):
    view = frozen(pods, workers=ALL)
    assert plan(view, NOW) == Plan(wake_after=30.0), "it is looked at again when the last hold is over"
    assert not _needs_scheduler(view)
    assert plan(a_view(pods, workers=ALL), NOW).actions, "it is the hold that keeps them"


def test_a_worker_that_has_died_is_cleared_away_and_not_replaced():
    dead = a_worker(1, state="Failed", ended=ago(60))
    assert said(plan(frozen([a_worker(0), dead]), NOW)) == [[("delete", name_of(1))]]


def test_those_on_their_way_out_go_and_only_then_is_the_hold_confirmed():
    leaving = [a_worker(0), a_worker(1), a_worker(2, marked=f"scale-down {ago(1)}")]
    view = frozen(leaving, workers=ALL)
    assert [action[0] for action in said(plan(view, NOW))[0]] == ["retire"]
    assert _needs_scheduler(view)
    assert "frozenBy" not in status_of(view)
    assert "frozenBy" not in status_of(frozen([a_worker(0), a_worker(1, deleted=True)]))
    assert status_of(frozen([a_worker(0), a_worker(1)]))["frozenBy"] == ["ana", "ben"]


def test_what_hangs_on_a_lost_node_is_not_waited_for():
    pods = [a_worker(0), a_worker(1, deleted=True)]
    assert status_of(frozen(pods, lost=frozenset({name_of(1)})))["frozenBy"] == ["ana", "ben"]


def test_when_the_hold_is_over_it_is_taken_back():
    group = a_group(2, frozenBy=["ana"])
    assert status_of(a_view([a_worker(0), a_worker(1)], group=group))["frozenBy"] is None


@pytest.mark.parametrize("field", ["suspend", "suspendWorkers"])
def test_suspending_is_stronger(field):
    cluster = a_cluster()
    cluster["spec"][field] = True
    view = frozen([a_worker(0)], workers=facts(0), cluster=cluster)
    assert plan(view, NOW).actions
    assert "frozenBy" not in status_of(view)


@pytest.mark.parametrize(
    ("pods", "condition", "status"),
    [
        ([a_worker(0)], "Ready", "False"),
        ([a_worker(0), a_worker(1), a_worker(2)], "ScalingDown", "True"),
        ([outdated(0), a_worker(1)], "UpToDate", "False"),
    ],
)
def test_what_is_held_up_says_by_whom(pods, condition, status):
    found = find(status_of(frozen(pods, workers=ALL))["conditions"], condition)
    assert (found["status"], found["reason"]) == (status, "Frozen")
    assert "kept as they are by ana, ben (annotations of the cluster)" in found["message"]
