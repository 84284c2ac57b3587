"""Every case of the end of a cluster: idle or not, renewed or not, needed by a job."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from dask_gpu_k8s.api.conditions import find, format_time
from dask_gpu_k8s.operator.ending.idle import Look, interval_of
from dask_gpu_k8s.operator.ending.observe import Observed
from dask_gpu_k8s.operator.ending.plan import conclude, plan
from dask_gpu_k8s.operator.engine.actions import Delete, Outcome, Patch, Plan
from tests.unit.operator.builders import NOW, a_cluster, a_job, ago

BUSY = Look(None)


def an_idle_cluster(timeout: int = 3600, /, **status: Any) -> dict[str, Any]:
    return _with(a_cluster(**status), idleTimeout=timeout)


def a_mortal(ttl: int = 60, /, **status: Any) -> dict[str, Any]:
    return _with(a_cluster(**status), ttl=ttl)


def _with(cluster: dict[str, Any], **spec: Any) -> dict[str, Any]:
    meta = {**cluster["metadata"], "resourceVersion": "7", "creationTimestamp": ago(600)}
    return {**cluster, "metadata": meta, "spec": {**cluster["spec"], **spec}}


def idle_for(seconds: float) -> Look:
    """Say what a scheduler answers that has been idle for so long, by a clock like ours."""
    return Look(NOW.timestamp() - seconds)


def a_lease(renewed: str) -> dict[str, Any]:
    return {"metadata": {"name": "foo-client"}, "spec": {"renewTime": renewed}}


def status_of(made: Plan) -> dict[str, Any]:
    (action,) = made.actions
    assert isinstance(action, Patch)
    assert action.patch["metadata"] == {"resourceVersion": "7"}
    status: dict[str, Any] = action.patch["status"]
    return status


def after(cluster: dict[str, Any], made: Plan) -> dict[str, Any]:
    """Return the cluster as it is when a plan has been carried out."""
    for action in made.actions:
        assert isinstance(action, Patch), "the cluster is gone"
        cluster = {**cluster, "status": {**cluster["status"], **action.patch["status"]}}
    return cluster


@pytest.mark.parametrize(("timeout", "seconds"), [(1, 1), (20, 1), (300, 15), (1200, 60), (86400, 60)])
def test_looks_are_a_fraction_of_the_timeout_apart(timeout, seconds):
    assert interval_of(timeout) == seconds


def test_idleness_counts_from_when_it_has_lasted_for_an_interval():
    cluster = an_idle_cluster()
    assert plan(Observed(cluster, look=idle_for(30)), NOW) == Plan(wake_after=60)
    made = plan(Observed(cluster, look=idle_for(70)), NOW)
    assert status_of(made) == {"idleSince": format_time(NOW), "idleMark": idle_for(70).mark}
    assert made.wake_after == 60


def test_a_slow_clock_of_the_scheduler_ends_nothing_early():
    made = plan(Observed(an_idle_cluster(60), look=idle_for(100_000)), NOW)
    assert status_of(made)["idleSince"] == format_time(NOW)


def test_nothing_is_written_while_a_cluster_stays_idle():
    look = idle_for(1000)
    cluster = an_idle_cluster(idleSince=ago(900), idleMark=look.mark)
    assert plan(Observed(cluster, look=look), NOW) == Plan(wake_after=60)


def test_the_last_look_is_when_the_time_is_up():
    look = idle_for(3620)
    cluster = an_idle_cluster(idleSince=ago(3590), idleMark=look.mark)
    assert plan(Observed(cluster, look=look), NOW) == Plan(wake_after=10)


def test_nothing_is_written_while_a_cluster_stays_busy():
    assert plan(Observed(an_idle_cluster(), look=BUSY), NOW) == Plan(wake_after=60)


@pytest.mark.parametrize(("desired", "ready", "counts"), [(2, 0, False), (2, 1, True), (0, 0, True)])
def test_who_waits_for_the_first_worker_is_starting_and_not_idle(desired, ready, counts):
    cluster = an_idle_cluster(60, desiredWorkers=desired, readyWorkers=ready)
    assert bool(plan(Observed(cluster, look=idle_for(1000)), NOW).actions) is counts


@pytest.mark.parametrize("look", [BUSY, idle_for(5)])
def test_work_between_two_looks_is_seen(look):
    """It is over at the second look; what the scheduler says is another time than before."""
    cluster = an_idle_cluster(idleSince=ago(3599), idleMark=idle_for(3630).mark)
    assert status_of(plan(Observed(cluster, look=look), NOW)) == {"idleSince": None, "idleMark": None}


def test_a_cluster_that_was_idle_for_too_long_is_deleted_when_that_has_been_said():
    look = idle_for(3700)
    cluster = an_idle_cluster(idleSince=ago(3600), idleMark=look.mark)
    seen = Observed(cluster, look=look)
    first = plan(seen, NOW)
    said = find(status_of(first)["conditions"], "Ending")
    assert said is not None
    assert (said["status"], said["reason"]) == ("True", "IdleTimeout")
    assert said["message"] == "There was no work for 3600 s (spec.idleTimeout), so the cluster is deleted."
    assert first.wake_after == 0
    concluded = conclude(seen, first, [Outcome(first.actions[0], "done")], NOW)
    assert concluded is not None
    assert [note.reason for note in concluded.notes] == ["IdleTimeout"]
    assert concluded.status == {}

    again = Observed(after(cluster, first), look=look)
    second = plan(again, NOW)
    assert [str(action) for action in second.actions] == ["delete daskcluster foo"]
    (delete,) = second.actions
    assert isinstance(delete, Delete)
    assert (delete.uid, delete.resource_version) == ("u-cluster", "7")
    concluded = conclude(again, second, [Outcome(delete, "done")], NOW)
    assert concluded is not None
    assert concluded.notes == ()


def test_work_at_the_last_moment_saves_a_cluster():
    look = idle_for(3700)
    cluster = an_idle_cluster(idleSince=ago(3600), idleMark=look.mark)
    cluster = after(cluster, plan(Observed(cluster, look=look), NOW))
    made = status_of(plan(Observed(cluster, look=BUSY), NOW))
    assert made["idleSince"] is None
    said = find(made["conditions"], "Ending")
    assert said is not None
    assert (said["status"], said["reason"]) == ("False", "InUse")


def test_a_scheduler_that_cannot_be_asked_is_not_idle():
    cluster = an_idle_cluster(idleSince=ago(5000), idleMark=idle_for(5100).mark)
    assert plan(Observed(cluster, look=None), NOW) == Plan(wake_after=60)


def test_a_restarted_operator_does_not_begin_anew():
    """All that it knows is in the status: with the same mark, there was no work while it was away."""
    look = idle_for(4000)
    cluster = an_idle_cluster(idleSince=ago(3900), idleMark=look.mark)
    assert status_of(plan(Observed(cluster, look=look), NOW))["conditions"]


def test_a_timeout_that_is_taken_back_is_forgotten():
    cluster = an_idle_cluster(0, idleSince=ago(10), idleMark="x")
    assert status_of(plan(Observed(cluster), NOW)) == {"idleSince": None, "idleMark": None}


def test_row_04_a_timeout_of_an_hour_outlasts_ten_idle_minutes():
    look, now = idle_for(5), NOW
    cluster = an_idle_cluster(3600)
    ends: datetime | None = None
    while ends is None:
        made = plan(Observed(cluster, look=look), now)
        if any(isinstance(action, Delete) for action in made.actions):
            ends = now
        else:
            cluster = after(cluster, made)
            assert made.wake_after is not None
            now += timedelta(seconds=made.wake_after)
    assert timedelta(seconds=3595) <= ends - NOW <= timedelta(seconds=3600 + 2 * 60)


def test_the_cluster_of_a_job_that_has_not_ended_stays():
    cluster = an_idle_cluster(idleSince=ago(9999), idleMark="x")
    assert plan(Observed(cluster, job=a_job(jobStatus="Running")), NOW).actions == ()


def test_a_cluster_without_a_lease_lives_for_its_ttl():
    assert plan(Observed(a_mortal(700)), NOW) == Plan(wake_after=100)
    assert find(status_of(plan(Observed(a_mortal(600)), NOW))["conditions"], "Ending")


def test_the_last_renewal_counts():
    seen = Observed(a_mortal(60), lease=a_lease("2026-01-31T11:59:30.500000Z"))
    assert plan(seen, NOW) == Plan(wake_after=30.5)


def test_a_renewal_before_the_creation_is_of_another_cluster():
    assert plan(Observed(a_mortal(700), lease=a_lease(ago(5000))), NOW) == Plan(wake_after=100)


def test_a_cluster_that_nobody_renews_is_deleted_when_that_has_been_said():
    cluster, lease = a_mortal(60), a_lease(ago(60))
    first = plan(Observed(cluster, lease=lease), NOW)
    said = find(status_of(first)["conditions"], "Ending")
    assert said is not None
    assert said["reason"] == "NotRenewed"
    assert (
        said["message"]
        == "No client has renewed Lease 'foo-client' for 60 s (spec.ttl), so the cluster is deleted."
    )
    second = plan(Observed(after(cluster, first), lease=lease), NOW)
    assert [str(action) for action in second.actions] == ["delete daskcluster foo"]


def test_the_sooner_of_both_ends_counts():
    look = idle_for(1000)
    cluster = _with(an_idle_cluster(3600, idleSince=ago(900), idleMark=look.mark), ttl=610)
    assert plan(Observed(cluster, look=look), NOW).wake_after == 10
