"""Workers that have lost a label or their owner."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.operator.workergroup.mending import mend
from tests.unit.operator.builders import a_group, a_worker


def test_whole_workers_are_left_alone():
    assert mend(a_group(), [a_worker(0), a_worker(1)]) == []


@pytest.mark.parametrize("key", [labels.CLUSTER_NAME, labels.WORKERGROUP_NAME, labels.COMPONENT])
def test_a_label_is_given_back_if_nothing_else_has_changed(key):
    pod = a_worker(0)
    lost = pod["metadata"]["labels"].pop(key)
    (patch,) = mend(a_group(), [pod, a_worker(1)])
    assert patch.name == pod["metadata"]["name"]
    assert patch.patch == {"metadata": {"resourceVersion": "7", "labels": {key: lost}}}


def test_an_owner_is_given_back():
    pod = a_worker(0)
    del pod["metadata"]["ownerReferences"]
    (patch,) = mend(a_group(), [pod])
    (owner,) = patch.patch["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("DaskWorkerGroup", "u-group", True)
