"""Workers whose Pods are there and do no good: on a silent node, or condemned."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api.conditions import parse_time
from dask_gpu_k8s.operator.engine.facts import NodeFacts
from dask_gpu_k8s.operator.workergroup.lost import find_lost
from dask_gpu_k8s.operator.workergroup.plan import plan
from tests.unit.operator.builders import NOW, a_view, a_worker, ago, facts, name_of, noted
from tests.unit.operator.workergroup.test_plan import said


def is_lost(pod, node=None) -> bool:
    return bool(find_lost([pod], lambda name: node, NOW)[0])


def since(seconds: float, *, ready: bool = False) -> NodeFacts:
    return NodeFacts(ready, parse_time(ago(seconds)))


@pytest.mark.parametrize(
    ("node", "lost"),
    [
        (None, False),  # it may not be read
        (since(100, ready=True), False),
        (since(6), True),
        (since(4), False),  # a kubelet that restarts
        (since(7200), False),  # the Pod was put there only afterwards
    ],
)
def test_row_30_a_worker_on_a_node_that_is_not_ready_is_lost_after_a_moment(node, lost):
    assert is_lost(a_worker(0), node) == lost


def test_a_worker_of_a_node_that_is_gone_is_lost_unless_it_is_as_new_as_its_node():
    gone = NodeFacts(ready=False, since=None)
    for begun, lost in ((ago(100), True), (ago(10), False), (None, False)):
        pod = a_worker(0)
        pod["status"] = {**pod["status"], "startTime": begun}
        assert is_lost(pod, gone) == lost


def test_one_that_is_on_no_node_is_not_lost():
    assert not is_lost(a_worker(0, state="unscheduled"), since(6))


@pytest.mark.parametrize(
    ("conditions", "lost"),
    [
        # The node controller changes the status alone.
        ({"Ready": {"status": "False", "lastTransitionTime": ago(6)}, "ContainersReady": "True"}, True),
        ({"Ready": {"status": "False", "lastTransitionTime": ago(4)}, "ContainersReady": "True"}, False),
        # A kubelet says why.
        (
            {
                "Ready": {
                    "status": "False",
                    "reason": "ReadinessGatesNotReady",
                    "lastTransitionTime": ago(6),
                },
                "ContainersReady": "True",
            },
            False,
        ),
        (
            {
                "Ready": {"status": "False", "reason": "ContainersNotReady", "lastTransitionTime": ago(6)},
                "ContainersReady": "False",
            },
            False,
        ),
        ({"DisruptionTarget": {"status": "True", "lastTransitionTime": ago(6)}, "Ready": "True"}, True),
        ({"DisruptionTarget": {"status": "False", "lastTransitionTime": ago(6)}, "Ready": "True"}, False),
    ],
)
def test_row_30_without_a_look_at_nodes_the_pods_own_conditions_tell(conditions, lost):
    assert is_lost(noted(a_worker(0), **conditions)) == lost


def test_a_lost_worker_is_replaced_and_not_deleted():
    made = plan(a_view([a_worker(0), a_worker(1)], lost=frozenset({name_of(1)})), NOW)
    assert said(made) == [[("reserve", 11)], [("create", name_of(10))]]


def test_one_that_is_about_to_be_lost_is_looked_at_again_in_time():
    lost, losing = find_lost([a_worker(0)], lambda name: since(3), NOW)
    assert not lost
    assert losing == 2.0
    assert plan(a_view([a_worker(0), a_worker(1)], losing=losing), NOW).wake_after == 2.0


def test_one_that_comes_back_makes_a_surplus_of_which_the_cheapest_goes():
    pods = [a_worker(0), a_worker(1), a_worker(2)]
    made = plan(a_view(pods, 2, workers={**facts(0, nbytes=5), **facts(1, nbytes=9), **facts(2)}), NOW)
    assert said(made) == [[("mark", name_of(2))]]


def test_pods_that_end_on_a_lost_node_do_not_hold_up_a_retirement():
    pods = [a_worker(0), a_worker(1, marked=f"scale-down {ago(1)}"), a_worker(2, deleted=True), a_worker(3)]
    workers = {**facts(0), **facts(1), **facts(2), **facts(3)}
    seen = a_view(pods, 1, workers=workers, lost=frozenset({name_of(2), name_of(3)}))
    retire = plan(seen, NOW).actions[-1]
    assert retire.ending == set()
    assert retire.leaving == {*facts(2), *facts(3)}
