from __future__ import annotations

import pytest

from dask_gpu_k8s import CreateMode
from dask_gpu_k8s.cluster.modes import choose, is_ours, parse_create_mode
from dask_gpu_k8s.errors import ClusterExists, ClusterNotFound


def test_members_compare_with_text():
    assert CreateMode.CONNECT_ONLY == "CONNECT_ONLY"
    assert str(CreateMode.CREATE_ONLY) == f"{CreateMode.CREATE_ONLY}" == "CREATE_ONLY"


@pytest.mark.parametrize("mode", CreateMode)
def test_text_is_a_mode(mode):
    assert parse_create_mode(mode) is parse_create_mode(mode.value) is parse_create_mode(mode.lower()) is mode


@pytest.mark.parametrize(
    ("mode", "exists", "what"),
    [
        (CreateMode.CREATE_ONLY, False, "create"),
        (CreateMode.CREATE_OR_CONNECT, False, "create"),
        (CreateMode.CREATE_OR_CONNECT, True, "connect"),
        (CreateMode.CONNECT_ONLY, True, "connect"),
    ],
)
def test_choice(mode, exists, what):
    assert choose(mode, exists, "demo", "default") == what


def test_an_existing_name_under_create_only():
    with pytest.raises(ClusterExists, match=r"^DaskCluster default/demo: there is a cluster of that name"):
        choose(CreateMode.CREATE_ONLY, True, "demo", "default")


def test_a_missing_name_under_connect_only():
    with pytest.raises(ClusterNotFound, match=r"^DaskCluster default/demo: there is no .*--all-namespaces"):
        choose(CreateMode.CONNECT_ONLY, False, "demo", "default")


@pytest.mark.parametrize("created", [True, False])
@pytest.mark.parametrize("keeps_created", [True, False])
@pytest.mark.parametrize("argument", [None, True, False])
def test_row_07_only_the_creator_deletes_unless_the_argument_says_otherwise(argument, keeps_created, created):
    expected = (created and not keeps_created) if argument is None else argument
    assert is_ours(argument, created=created, keeps_created=keeps_created) is expected
