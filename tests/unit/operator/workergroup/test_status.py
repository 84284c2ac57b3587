"""What is said of a worker group."""

from __future__ import annotations

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.operator.engine.actions import Create, Outcome, Patch, Plan, Retire
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED
from dask_gpu_k8s.operator.workergroup.plan import RETRY_KEPT, RETRY_MOVING, plan
from dask_gpu_k8s.operator.workergroup.status import conclude
from tests.unit.operator.builders import NOW, SCHEDULER, a_group, a_view, a_worker, facts, noted


def test_counts():
    pods = [a_worker(0), a_worker(1, state="scheduled"), a_worker(2, marked="x"), a_worker(3, deleted=True)]
    status = conclude(a_view(pods, 3, workers={}), Plan(), [], NOW).status
    assert (status["replicas"], status["desiredReplicas"]) == (2, 3)
    assert (status["readyReplicas"], status["pendingReplicas"]) == (1, 2)
    assert status["phase"] == "Pending"
    assert status["observedGeneration"] == 1
    assert status["selector"] == (
        "dask.org/cluster-name=foo,dask.org/workergroup-name=foo-default,dask.org/component=worker"
    )


def test_running_means_that_all_are_ready():
    status = conclude(a_view([a_worker(0), a_worker(1)]), Plan(), [], NOW).status
    assert status["phase"] == "Running"
    assert find(status["conditions"], "Ready")["status"] == "True"
    assert find(status["conditions"], "ScalingDown")["reason"] == "Settled"


def test_the_counter_is_never_said_here():
    """It is written before Pods are made, and an old view must not set it back."""
    assert "counter" not in conclude(a_view([a_worker(0)]), Plan(), [], NOW).status


def test_nothing_is_said_while_the_cache_lags_behind():
    assert conclude(a_view([], settled=False), Plan(), [], NOW) is None


def test_what_has_not_changed_is_said_in_the_same_words():
    first = conclude(a_view([a_worker(0), a_worker(1)]), Plan(), [], NOW).status
    group = a_group(2, **first)
    later = NOW.replace(hour=18)
    assert conclude(a_view([a_worker(0), a_worker(1)], group=group), Plan(), [], later).status == first


def refused(message: str, reason: str = "Forbidden") -> Outcome:
    create = plan(a_view([]), NOW).stages[1][0]
    assert isinstance(create, Create)
    name = create.body["metadata"]["name"]
    return Outcome(create, "refused", reason, f'pods "{name}" is forbidden: {message}')


def test_a_refusal_is_a_condition_and_an_event_and_asked_again_later():
    said = conclude(a_view([]), Plan(), [refused("exceeded quota")], NOW)
    ready = find(said.status["conditions"], "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "QuotaExceeded")
    assert ready["message"].endswith('pods "worker" is forbidden: exceeded quota')
    assert [note.reason for note in said.notes] == ["WorkersRefused"]
    assert said.wake_after == RETRY_REFUSED


def test_a_namespace_that_is_being_deleted_is_no_trouble():
    said = conclude(a_view([]), Plan(), [refused("is being deleted", "NamespaceTerminating")], NOW)
    assert find(said.status["conditions"], "Ready")["reason"] == "NamespaceTerminating"
    assert not said.notes


def test_row_20_pods_that_fit_on_no_node_are_counted_and_the_schedulers_words_are_said():
    why = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    stuck = [
        noted(
            a_worker(index, state="unscheduled"),
            PodScheduled={"status": "False", "reason": "Unschedulable", "message": why},
        )
        for index in (1, 2)
    ]
    status = conclude(a_view([a_worker(0), *stuck], 4), Plan(), [], NOW).status
    assert (status["readyReplicas"], status["pendingReplicas"], status["unschedulableReplicas"]) == (1, 3, 2)
    ready = find(status["conditions"], "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Unschedulable")
    assert ready["message"] == f"1 of 4 ready; 2: fits on no node: {why}"


def test_the_same_refusal_is_told_once():
    status = conclude(a_view([]), Plan(), [refused("exceeded quota")], NOW).status
    again = conclude(a_view([], group=a_group(2, **status)), Plan(), [refused("exceeded quota")], NOW)
    assert again.status["conditions"] == status["conditions"]
    assert not again.notes


def test_a_refusal_stays_said_until_it_is_tried_again():
    status = conclude(a_view([]), Plan(), [refused("is invalid", "Invalid")], NOW).status
    quiet = conclude(a_view([], group=a_group(2, **status), cooling=5.0), Plan(), [], NOW)
    assert find(quiet.status["conditions"], "Ready") == find(status["conditions"], "Ready")


def test_a_group_without_its_cluster_says_so():
    ready = find(conclude(a_view([], cluster=None), Plan(), [], NOW).status["conditions"], "Ready")
    assert ready["reason"] == "ClusterNotFound"
    assert "'foo'" in ready["message"]


def test_a_scheduler_that_does_not_answer_is_a_condition():
    seen = a_view([a_worker(0), a_worker(1)], 1, workers=None, unreachable="connection refused")
    found = find(conclude(seen, Plan(), [], NOW).status["conditions"], "ScalingDown")
    assert (found["status"], found["reason"]) == ("True", "SchedulerUnreachable")
    assert found["message"].endswith("connection refused")


def test_workers_whose_data_nobody_takes_stay_and_it_is_said():
    seen = a_view([a_worker(0), a_worker(1, marked="x")], 1, workers={**facts(0), **facts(1)})
    said = conclude(seen, Plan(), [Outcome(Retire(SCHEDULER, ()), "done", kept=("w",))], NOW)
    assert find(said.status["conditions"], "ScalingDown")["reason"] == "DataCannotMove"
    assert said.wake_after == RETRY_KEPT


def test_a_group_is_settled_when_what_is_to_go_has_gone():
    ending = a_view([a_worker(0), a_worker(1, marked="x", deleted=True)], 1)
    assert find(conclude(ending, Plan(), [], NOW).status["conditions"], "ScalingDown")["reason"] == "Ending"
    gone = a_view([a_worker(0)], 1)
    assert find(conclude(gone, Plan(), [], NOW).status["conditions"], "ScalingDown")["status"] == "False"


def test_data_on_its_way_is_waited_for():
    seen = a_view([a_worker(0), a_worker(1, marked="x")], 1, workers={**facts(0), **facts(1)})
    said = conclude(seen, Plan(), [Outcome(Retire(SCHEDULER, ()), "done", moving=("w",))], NOW)
    assert find(said.status["conditions"], "ScalingDown")["reason"] == "Retiring"
    assert said.wake_after == RETRY_MOVING


def test_transitions_are_events():
    seen = a_view([a_worker(0), a_worker(1)], 1, workers={**facts(0), **facts(1)})
    planned = plan(seen, NOW)
    assert isinstance(planned.actions[0], Patch)
    done = [Outcome(action, "done") for action in planned.actions]
    assert [note.reason for note in conclude(seen, planned, done, NOW).notes] == ["ScalingDown"]
    seen = a_view([])
    planned = plan(seen, NOW)
    done = [Outcome(action, "done") for action in planned.actions]
    (note,) = conclude(seen, planned, done, NOW).notes
    assert (note.reason, note.message) == ("ScalingUp", "Created 2 worker Pods.")
    lost = [Outcome(Retire(SCHEDULER, ()), "done", lost=("w1",))]
    (note,) = conclude(a_view([]), Plan(), lost, NOW).notes
    assert (note.type, note.reason) == ("Warning", "ResultsLost")
    assert "w1" in note.message
