"""What is done with a Pod next: one case per rule."""

from __future__ import annotations

import copy

import pytest

from dask_gpu_k8s.local.node.facts import ContainerFacts, Problem
from dask_gpu_k8s.local.node.lifecycle import Decision, Expire, Remove, Start, Stop, decide, is_over
from tests.unit.local_node.builders import at, container, deleted, ended, facts, make_pod, running

TWO = (container("a"), container("b"))
INIT = (container("first"), container("second"))

CASES = {
    "a new Pod starts all containers": (make_pod(*TWO), facts(), 0, [Start("a"), Start("b")]),
    "what runs is left alone": (make_pod(*TWO), facts(a=running(), b=running()), 9, []),
    "the first init container goes alone": (make_pod(*TWO, init=INIT), facts(), 0, [Start("first")]),
    "the second waits for the first": (make_pod(init=INIT), facts(first=running()), 9, []),
    "the second follows the first": (make_pod(init=INIT), facts(first=ended()), 9, [Start("second")]),
    "all others follow the last init container": (
        make_pod(*TWO, init=INIT),
        facts(first=ended(), second=ended()),
        9,
        [Start("a"), Start("b")],
    ),
    "a failed init container is repeated": (
        make_pod(init=INIT),
        facts(first=ended(1)),
        9,
        [Start("first")],
    ),
    "but not where nothing is ever restarted": (
        make_pod(init=INIT, policy="Never"),
        facts(first=ended(1)),
        9,
        [],
    ),
    "Always restarts success": (make_pod(), facts(main=ended(0)), 9, [Start("main")]),
    "OnFailure does not": (make_pod(policy="OnFailure"), facts(main=ended(0)), 9, []),
    "OnFailure restarts failure": (make_pod(policy="OnFailure"), facts(main=ended(1)), 9, [Start("main")]),
    "Never restarts nothing": (make_pod(policy="Never"), facts(main=ended(1)), 9, []),
    "what could not be created is not tried at once": (
        make_pod(),
        facts(main=ContainerFacts(problem=Problem("CreateContainerConfigError", "no"))),
        9,
        [],
    ),
    "an unhealthy container is ended": (
        make_pod(terminationGracePeriodSeconds=7),
        facts(main=running(unhealthy="sick")),
        9,
        [Stop("main", 7, "sick")],
    ),
    "with the probe's own grace": (
        make_pod(container(livenessProbe={"terminationGracePeriodSeconds": 2})),
        facts(main=running(unhealthy="sick")),
        9,
        [Stop("main", 2, "sick")],
    ),
    "but only once": (make_pod(), facts(main=running(unhealthy="sick", stopping=True)), 9, []),
    "a deleted Pod loses its containers": (
        deleted(make_pod(*TWO), grace=3),
        facts(a=running(), b=ended(1)),
        9,
        [Stop("a", 3, "Stopping container a")],
    ),
    "by default in thirty seconds": (
        deleted(make_pod()),
        facts(main=running()),
        9,
        [Stop("main", 30, "Stopping container main")],
    ),
    "a deleted Pod without processes goes": (deleted(make_pod()), facts(main=ended(1)), 9, [Remove()]),
    "a deleted Pod starts nothing": (deleted(make_pod()), facts(), 9, [Remove()]),
    "its time is up": (make_pod(activeDeadlineSeconds=5), facts(main=running()), 5, [Expire()]),
    "its time is not up": (make_pod(activeDeadlineSeconds=5), facts(main=running()), 4, []),
    "who has ended has no deadline": (
        make_pod(activeDeadlineSeconds=5, policy="Never"),
        facts(main=ended(0)),
        6,
        [],
    ),
}


@pytest.mark.parametrize(("pod", "known", "now", "actions"), CASES.values(), ids=CASES.keys())
def test_decide(pod, known, now, actions):
    before = copy.deepcopy(pod)
    assert list(decide(pod, known, at(now)).actions) == actions
    assert pod == before


def test_back_off_wakes_when_it_is_over():
    crashed = ended(1, finished=5).begin(at(6)).end(ended(1, finished=7).ended)
    decision = decide(make_pod(), facts(main=crashed), at(8))
    assert decision == Decision((), wake=at(17))
    assert decide(make_pod(), facts(main=crashed), at(17)).actions == (Start("main"),)


def test_deadline_wakes():
    decision = decide(make_pod(activeDeadlineSeconds=60), facts(main=running()), at(1))
    assert decision == Decision((), wake=at(60))


def test_back_off_doubles_to_five_minutes_and_is_reset_by_ten_good_ones():
    known, now, waits = ended(1, finished=0), 0.0, []
    for _ in range(8):
        waits.append(known.wait.total_seconds())
        now += waits[-1]
        known = known.begin(at(now)).end(ended(1, finished=now + 1).ended)
        now += 1
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    assert known.restarts == 8
    good = known.begin(at(now)).end(ended(1, finished=now + 601).ended)
    assert good.wait.total_seconds() == 0


@pytest.mark.parametrize(
    ("pod", "known", "over"),
    [
        (make_pod(policy="Always"), facts(main=ended(0)), False),
        (make_pod(policy="OnFailure"), facts(main=ended(1)), False),
        (make_pod(policy="OnFailure"), facts(main=ended(0)), True),
        (make_pod(*TWO, policy="Never"), facts(a=ended(1)), False),
        (make_pod(*TWO, policy="Never"), facts(a=ended(1), b=ended(0)), True),
        (make_pod(init=INIT, policy="Never"), facts(first=ended(1)), True),
    ],
)
def test_is_over(pod, known, over):
    assert is_over(pod, known) is over
