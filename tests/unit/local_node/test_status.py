"""The status that the API shows for what is known of a Pod."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dask_gpu_k8s.local.node.facts import ContainerFacts, Problem
from dask_gpu_k8s.local.node.status import pod_status
from tests.unit.local_node.builders import at, container, deleted, ended, facts, make_pod, running

TWO = (container("a"), container("b"))
INIT = (container("first"),)


def status_of(pod, known, now=9.0):
    return pod_status(pod, known, at(now))


@pytest.mark.parametrize(
    ("pod", "known", "phase"),
    [
        (make_pod(*TWO), facts(), "Pending"),
        (make_pod(*TWO), facts(a=running()), "Pending"),
        (make_pod(*TWO), facts(a=running(), b=running()), "Running"),
        (make_pod(*TWO, init=INIT), facts(first=running()), "Pending"),
        (make_pod(), facts(main=ended(1)), "Running"),
        (make_pod(policy="Never"), facts(main=ended(0)), "Succeeded"),
        (make_pod(policy="Never"), facts(main=ended(1)), "Failed"),
        (make_pod(*TWO, policy="Never"), facts(a=ended(1), b=running()), "Running"),
        (make_pod(*TWO, policy="Never"), facts(a=ended(1), b=ended(0)), "Failed"),
        (make_pod(policy="OnFailure"), facts(main=ended(2)), "Running"),
        (make_pod(init=INIT, policy="Never"), facts(first=ended(1)), "Failed"),
        (make_pod(), replace(facts(main=ended(143)), expired=True), "Failed"),
        (deleted(make_pod()), facts(main=running()), "Running"),
        (deleted(make_pod()), facts(main=ended(0)), "Succeeded"),
        (deleted(make_pod()), facts(main=ended(143)), "Failed"),
    ],
)
def test_phase(pod, known, phase):
    assert status_of(pod, known)["phase"] == phase


def test_conditions_of_a_ready_pod_stand_in_the_kubelets_order():
    conditions = status_of(make_pod(), facts(main=running()))["conditions"]
    assert [(each["type"], each["status"]) for each in conditions] == [
        ("PodReadyToStartContainers", "True"),
        ("Initialized", "True"),
        ("Ready", "True"),
        ("ContainersReady", "True"),
        ("PodScheduled", "True"),
    ]


def condition(status, kind):
    found = next(each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found.get("reason"), found.get("message")


def test_conditions_say_which_containers_are_not_ready():
    status = status_of(make_pod(*TWO), facts(a=running(), b=running(ready=False)))
    expected = ("False", "ContainersNotReady", "containers with unready status: [b]")
    assert condition(status, "ContainersReady") == expected
    assert condition(status, "Ready") == expected


def test_conditions_while_initializing():
    status = status_of(make_pod(init=(container("first"), container("second"))), facts(first=ended(0)))
    assert condition(status, "Initialized") == (
        "False",
        "ContainersNotInitialized",
        "containers with incomplete status: [second]",
    )


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
def test_conditions_after_the_end(code, reason):
    status = status_of(make_pod(policy="Never"), facts(main=ended(code)))
    assert condition(status, "Ready")[:2] == ("False", reason)


def test_readiness_gates_count():
    gates = [{"conditionType": "example.com/gate"}]
    pod = make_pod(readinessGates=gates)
    assert condition(status_of(pod, facts(main=running())), "Ready")[:2] == (
        "False",
        "ReadinessGatesNotReady",
    )
    gate = {"type": "example.com/gate", "status": "True"}
    pod = make_pod(readinessGates=gates, status={"conditions": [gate]})
    status = status_of(pod, facts(main=running()))
    assert condition(status, "Ready")[0] == "True"
    assert gate in status["conditions"]


def test_transition_time_changes_only_with_the_status():
    first = status_of(make_pod(), facts(main=running(ready=False)), now=1)
    second = status_of(make_pod(status=first), facts(main=running(ready=False)), now=5)
    third = status_of(make_pod(status=second), facts(main=running()), now=9)
    times = [
        next(each["lastTransitionTime"] for each in status["conditions"] if each["type"] == "Ready")
        for status in (first, second, third)
    ]
    assert times == ["2026-03-01T12:00:01Z", "2026-03-01T12:00:01Z", "2026-03-01T12:00:09Z"]


def state_of(pod, known, now=9.0):
    shown = status_of(pod, known, now)["containerStatuses"][0]
    return shown["state"], shown["lastState"], shown["restartCount"]


def test_state_of_a_container_that_was_not_started():
    assert state_of(make_pod(), facts()) == ({"waiting": {"reason": "ContainerCreating"}}, {}, 0)


def test_state_behind_init_containers():
    state, _, _ = state_of(make_pod(init=INIT), facts())
    assert state == {"waiting": {"reason": "PodInitializing"}}


def test_state_of_a_container_that_cannot_be_created():
    known = facts(main=ContainerFacts(problem=Problem("CreateContainerConfigError", 'secret "s" not found')))
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}
    assert state_of(make_pod(), known)[0] == {"waiting": waiting}


def test_state_in_crash_loop():
    crashed = ended(3, finished=5).begin(at(6)).end(ended(4, finished=7).ended)
    state, last, restarts = state_of(make_pod(), facts(main=crashed), now=8)
    message = "back-off 10s restarting failed container=main pod=pod_ns(u1)"
    assert state == {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    assert last["terminated"]["exitCode"] == 4
    assert restarts == 1


def test_state_of_a_container_that_runs_again():
    again = ended(3, finished=5).start(running(6).running, started=True, ready=True)
    state, last, restarts = state_of(make_pod(), facts(main=again))
    assert state == {"running": {"startedAt": "2026-03-01T12:00:06Z"}}
    assert last["terminated"]["exitCode"] == 3
    assert restarts == 1


def test_state_of_a_container_that_ended_for_good():
    state, last, _ = state_of(make_pod(policy="Never"), facts(main=ended(3)))
    assert state["terminated"]["reason"] == "Error"
    assert last == {}


def test_deadline_is_the_reason():
    status = status_of(make_pod(), replace(facts(main=ended(143)), expired=True))
    assert status["reason"] == "DeadlineExceeded"
