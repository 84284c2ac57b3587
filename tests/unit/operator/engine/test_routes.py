"""Who is concerned when something changes."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKJOB, DASKWORKERGROUP, POD, SERVICE
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.engine.routes import cluster_whose_groups_care, concerned
from tests.unit.operator.builders import a_cluster, a_job, a_job_cluster, a_runner, a_worker, parts_of

CLUSTER = Key("DaskCluster", "ns", "foo")
GROUP = Key("DaskWorkerGroup", "ns", "foo-default")
JOB = Key("DaskJob", "ns", "foo")


def test_everything_concerns_itself_and_its_owners():
    parts = parts_of(a_cluster())
    job = a_job()
    assert concerned(DASKCLUSTER, a_cluster()) == {CLUSTER}
    assert concerned(DASKCLUSTER, a_job_cluster(job)) == {CLUSTER, JOB}
    assert concerned(DASKWORKERGROUP, parts["default_group"]) == {GROUP, CLUSTER}
    assert concerned(DASKJOB, job) == {JOB}
    assert concerned(POD, parts["scheduler"]) == {CLUSTER}
    assert concerned(SERVICE, parts["service"]) == {CLUSTER}
    assert concerned(POD, a_runner(job, "Running")) == {JOB, CLUSTER}


def test_the_scheduler_of_a_job_concerns_the_job():
    """Its runner may be beside the scheduler, and its next attempt waits for that Pod to be gone."""
    cluster = a_job_cluster(a_job())
    assert concerned(POD, parts_of(cluster)["scheduler"]) == {CLUSTER, JOB}


def test_a_worker_concerns_its_group_alone():
    """The cluster hears of it through the group's status; else each Pod would cost it a look at all."""
    assert concerned(POD, a_worker(0)) == {GROUP}


def test_a_pod_whose_owner_was_stripped_is_found_by_its_labels():
    pod = a_worker(0)
    pod["metadata"] = {**pod["metadata"], "ownerReferences": []}
    assert concerned(POD, pod) == {GROUP}


def test_an_autoscaler_concerns_the_group_that_it_is_for():
    scaler = {"metadata": {"name": "s", "namespace": "ns"}, "spec": {"cluster": "foo"}}
    own = Key("DaskAutoscaler", "ns", "s")
    assert concerned(DASKAUTOSCALER, scaler) == {own, GROUP}
    scaler["spec"]["workerGroup"] = "foo-gpu"
    assert concerned(DASKAUTOSCALER, scaler) == {own, Key("DaskWorkerGroup", "ns", "foo-gpu")}


def test_owners_of_other_kinds_are_no_concern_of_ours():
    owner = {"apiVersion": "v1", "kind": "DaskCluster", "name": "foo", "uid": "x"}
    job = {"metadata": {"name": "foo", "namespace": "ns", "ownerReferences": [owner]}, "spec": {}}
    assert concerned(DASKJOB, job) == {JOB}


def a_scheduler(**changes: Any) -> dict[str, Any]:
    meta = {
        "name": "foo-scheduler",
        "namespace": "ns",
        "labels": {"dask.org/cluster-name": "foo", "dask.org/component": "scheduler"},
    }
    return {"metadata": {**meta, **changes}, "status": {}}


@pytest.mark.parametrize(
    ("old", "new", "do"),
    [
        (None, a_scheduler(), True),
        (a_scheduler(), None, True),
        (a_scheduler(), a_scheduler(deletionTimestamp="2026-01-31T12:00:00Z"), True),
        (a_scheduler(), {**a_scheduler(), "status": {"phase": "Failed"}}, True),
        (a_scheduler(), {**a_scheduler(), "status": {"phase": "Running"}}, False),
        (None, a_scheduler(labels={}), False),
    ],
)
def test_groups_care_whether_there_is_a_scheduler(old, new, do):
    assert cluster_whose_groups_care(POD, old, new) == (("ns", "foo") if do else ("", ""))


def test_groups_care_for_the_spec_of_their_cluster_and_whether_it_is_refused():
    def a_cluster(generation: int, reason: str = "Accepted") -> dict[str, Any]:
        meta = {"name": "foo", "namespace": "ns", "generation": generation}
        return {"metadata": meta, "status": {"conditions": [{"type": "Accepted", "reason": reason}]}}

    refused = a_cluster(2, "QuotaExceeded")
    assert cluster_whose_groups_care(DASKCLUSTER, a_cluster(2), refused) == ("ns", "foo")
    assert cluster_whose_groups_care(DASKCLUSTER, a_cluster(1), a_cluster(2)) == ("ns", "foo")
    assert cluster_whose_groups_care(DASKCLUSTER, a_cluster(2), a_cluster(2)) == ("", "")


def test_groups_care_for_who_holds_them():
    def a_cluster(**annotations: str) -> dict[str, Any]:
        said = {f"kubernetes.dask.org/{key}": value for key, value in annotations.items()}
        return {"metadata": {"name": "foo", "namespace": "ns", "generation": 1, "annotations": said}}

    held, longer = ({"frozen-a": f"2026-01-31T12:00:0{second}Z"} for second in range(2))
    for old, new in (({}, held), (held, longer), (held, {})):
        assert cluster_whose_groups_care(DASKCLUSTER, a_cluster(**old), a_cluster(**new)) == ("ns", "foo")
    assert cluster_whose_groups_care(DASKCLUSTER, a_cluster(**held), a_cluster(renew="1", **held)) == ("", "")
