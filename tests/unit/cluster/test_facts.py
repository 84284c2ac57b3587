from __future__ import annotations

import pytest

from dask_gpu_k8s import make_cluster_spec
from dask_gpu_k8s.cluster.facts import facts
from tests.unit.cluster.test_spec import CASES, make


def made_again(cluster):
    is_secured = cluster["spec"].get("security", False)
    return make_cluster_spec(cluster["metadata"]["name"], security=is_secured, **facts(cluster))


@pytest.mark.parametrize("case", CASES)
def test_row_58_what_is_read_from_a_cluster_makes_the_same_again(case):
    cluster = make({"n_workers": 1, **CASES[case]})
    again = made_again(cluster)
    assert facts(again) == facts(cluster)
    assert again["spec"]["worker"] == cluster["spec"]["worker"]
    # One role's overlay of the environment is read as the environment, which is that of both.
    assert (again == cluster) == (case != "overlay")
