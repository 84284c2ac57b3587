"""What was refused is not asked again at once."""

from __future__ import annotations

from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED, Refusals
from tests.unit.operator.builders import a_cluster

KEY = Key("DaskCluster", "ns", "foo")


def test_a_refusal_holds_for_a_while_and_for_this_generation():
    now = 100.0
    refusals = Refusals(lambda: now)
    cluster = a_cluster()
    assert refusals.remaining(KEY, cluster) == 0
    refusals.note(KEY, cluster)
    assert refusals.remaining(KEY, cluster) == RETRY_REFUSED
    edited = {**cluster, "metadata": {**cluster["metadata"], "generation": 4}}
    assert refusals.remaining(KEY, edited) == 0
    now += RETRY_REFUSED
    assert refusals.remaining(KEY, cluster) == 0
    now -= 1
    refusals.forget(KEY)
    assert refusals.remaining(KEY, cluster) == 0
