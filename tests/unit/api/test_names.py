from __future__ import annotations

import re

import pytest

from dask_gpu_k8s.api import labels, names


@pytest.mark.parametrize("name", ["a", "rapids-dask-cluster", "a1", "a" * 53])
def test_good_cluster_names(name):
    assert names.cluster_name_problem(name) is None
    assert len(names.scheduler(name)) <= 63


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a" * 54, "is 54 characters long; at most 53"),
        ("1abc", "lower-case letter"),
        ("a.b", "lower-case"),
        ("Abc", "lower-case"),
        ("a-", "end with a letter or digit"),
        ("", "lower-case"),
        ("a_b", "lower-case"),
        ("abc\n", "lower-case"),
    ],
)
def test_bad_cluster_names(name, said):
    assert said in names.cluster_name_problem(name)


def test_a_worker_pod_is_named_by_group_uid_and_counter():
    first = names.worker_pod("a-default", "uid", 0)
    assert re.fullmatch("a-default-worker-group-worker-[0-9a-f]{10}", first)
    assert first == names.worker_pod("a-default", "uid", 0)
    others = {names.worker_pod("a-default", "uid", 1), names.worker_pod("a-default", "other", 0)}
    assert first not in others
    assert len(others) == 2


def test_a_selector_is_the_labels_written_out():
    selector = labels.selector(labels.of_workers("a", "a-default"))
    assert selector == "dask.org/cluster-name=a,dask.org/workergroup-name=a-default,dask.org/component=worker"
