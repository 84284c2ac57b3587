"""What is written of a conclusion."""

from __future__ import annotations

from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.operator.engine.actions import Note
from dask_gpu_k8s.operator.engine.reporter import difference, make_event
from tests.unit.operator.builders import NOW, a_cluster


def test_only_what_differs_is_written():
    assert difference({"a": 1, "b": [2], "kept": 0}, {"a": 1, "b": [3], "c": None}) == {"b": [3]}
    assert difference({"c": 1}, {"c": None}) == {"c": None}
    assert difference({"a": 1, "counter": 5}, {"a": 1}) == {}


def test_an_event_names_its_object():
    event = make_event(DASKCLUSTER, a_cluster(), Note("Warning", "Why", "m" * 5000), NOW)
    assert event["involvedObject"]["uid"] == "u-cluster"
    assert event["metadata"] == {"generateName": "foo.", "namespace": "ns"}
    assert len(event["message"]) == 1024
