"""What is to be done about a change beside looking at whom it concerns."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, DASKWORKERGROUP, POD
from dask_gpu_k8s.operator.engine.duties import DEPENDENTS, ENDING, duties
from dask_gpu_k8s.operator.engine.facts import Key
from tests.unit.operator.builders import OLD, a_cluster, a_group, a_job, a_worker

END = {Key(ENDING, "ns", "foo")}


def a_mortal(generation: int = 1, uid: str = "u", /, **spec: Any) -> dict[str, Any]:
    cluster = a_cluster()
    meta = {**cluster["metadata"], "generation": generation, "uid": uid}
    return {**cluster, "metadata": meta, "spec": {**cluster["spec"], **spec}}


@pytest.mark.parametrize("end", [{"idleTimeout": 5}, {"ttl": 5}])
def test_a_cluster_that_may_end_is_watched_over(end):
    assert duties(DASKCLUSTER, None, a_mortal(**end)) == END
    assert duties(DASKCLUSTER, a_mortal(1), a_mortal(2, **end)) == END
    assert duties(DASKCLUSTER, a_mortal(1, **end), a_mortal(2)) == END, "to forget what was known"
    assert duties(DASKCLUSTER, a_mortal(1, "u", **end), a_mortal(1, "v", **end)) > END, "it is another one"


def test_a_status_wakes_nobody():
    cluster = a_mortal(ttl=5)
    assert duties(DASKCLUSTER, cluster, {**cluster, "status": {"phase": "Running"}}) == set()


def test_nothing_is_to_be_done_about_what_lives_for_ever():
    assert duties(DASKCLUSTER, None, a_mortal()) == set()
    assert duties(POD, None, a_worker(0)) == set()


def of(uid: str) -> set[Key]:
    return {Key(DEPENDENTS, "ns", uid)}


def test_what_a_deleted_owner_leaves_is_looked_for_by_its_uid():
    cluster = a_cluster()
    assert duties(DASKCLUSTER, cluster, None) == of("u-cluster")
    assert duties(DASKJOB, a_job(), None) == of("u-job")
    assert duties(DASKWORKERGROUP, a_group(), None) == of("u-group")
    assert duties(POD, a_worker(0), None) == set()


def test_an_owner_made_again_before_anybody_looked_was_gone_in_between():
    assert duties(DASKCLUSTER, a_mortal(1, "u"), a_mortal(1, "v")) == of("u")


def test_an_owner_on_its_way_is_looked_at_when_that_changes():
    group = a_group()
    going = {**group, "metadata": {**group["metadata"], "deletionTimestamp": OLD, "finalizers": ["orphan"]}}
    assert duties(DASKWORKERGROUP, group, going) == of("u-group")
    assert duties(DASKWORKERGROUP, going, going) == set()
    freed = {**going, "metadata": {**going["metadata"], "finalizers": []}}
    assert duties(DASKWORKERGROUP, going, freed) == of("u-group")
