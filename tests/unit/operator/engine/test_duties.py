"""What is to be done about a change beside looking at whom it concerns."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.operator.engine.duties import ENDING, duties
from dask_gpu_k8s.operator.engine.facts import Key
from tests.unit.operator.builders import a_cluster, a_worker

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
    assert duties(DASKCLUSTER, a_mortal(1, "u", **end), a_mortal(1, "v", **end)) == END


def test_a_status_wakes_nobody():
    cluster = a_mortal(ttl=5)
    assert duties(DASKCLUSTER, cluster, {**cluster, "status": {"phase": "Running"}}) == set()


def test_nothing_is_to_be_done_about_what_lives_for_ever():
    assert duties(DASKCLUSTER, None, a_mortal()) == set()
    assert duties(POD, None, a_worker(0)) == set()
