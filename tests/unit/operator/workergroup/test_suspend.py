"""A cluster that is suspended, or whose workers are."""

from __future__ import annotations

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.operator.engine.actions import Plan, Retire
from dask_gpu_k8s.operator.workergroup.plan import plan
from dask_gpu_k8s.operator.workergroup.status import conclude
from tests.unit.operator.builders import NOW, a_cluster, a_view, a_worker, ago, facts, name_of
from tests.unit.operator.workergroup.test_plan import said


def asking(**spec: object) -> dict:
    cluster = a_cluster()
    cluster["spec"].update(spec)
    return cluster


def test_row_24_suspend_deletes_all_at_once_and_asks_nobody():
    pods = [a_worker(0), a_worker(1, state="scheduled"), a_worker(2, marked="x"), a_worker(3, deleted=True)]
    made = plan(a_view(pods, workers=None, cluster=asking(suspend=True)), NOW)
    assert said(made) == [[("delete", name_of(0)), ("delete", name_of(1)), ("delete", name_of(2))]]
    assert plan(a_view([], cluster=asking(suspend=True)), NOW) == Plan()


def test_row_24_suspended_workers_are_retired_whatever_the_group_asks_for():
    pods = [a_worker(0), a_worker(1, state="unscheduled")]
    made = plan(a_view(pods, 2, workers={**facts(0)}, cluster=asking(suspendWorkers=True)), NOW)
    assert said(made) == [[("delete if unchanged", name_of(1)), ("mark", name_of(0))]]


def test_data_that_others_could_take_is_waited_for_until_the_drain_timeout():
    cluster = asking(suspendWorkers=True, drainTimeout=10)
    for since, forced in ((5, set()), (11, {name_of(0)})):
        pods = [a_worker(0, marked=f"suspend {ago(since)}")]
        workers = {**facts(0, running=False), **facts(9)}
        (retire,) = plan(a_view(pods, workers=workers, cluster=cluster), NOW).actions
        assert isinstance(retire, Retire)
        assert retire.forced == forced


def test_what_is_said_of_a_suspended_group():
    for field in ("suspend", "suspendWorkers"):
        status = conclude(a_view([], cluster=asking(**{field: True})), Plan(), [], NOW).status
        assert (status["phase"], status["desiredReplicas"], status["pendingReplicas"]) == ("Suspended", 0, 0)
        ready = find(status["conditions"], "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "Suspended")
        assert f"spec.{field}." in ready["message"]


def test_when_a_cluster_is_resumed_its_scheduler_comes_first():
    """Its Pod's coming is what the group is looked at anew for."""
    assert not plan(a_view([], cluster=asking(), awaits_scheduler=True), NOW).actions
    assert plan(a_view([], cluster=asking()), NOW).actions


def test_resuming_brings_them_back():
    assert said(plan(a_view([], cluster=asking(suspend=False)), NOW))[0] == [("reserve", 12)]
