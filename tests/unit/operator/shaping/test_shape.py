"""Plug-ins: what they may change and what happens when they fail."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod, make_scheduler_service
from dask_gpu_k8s.operator.shaping import Shaper, ShapingFailed, installed_plugins, plugins
from dask_gpu_k8s.operator.shaping.defaults import parse_defaults
from tests.unit.operator.builders import a_cluster

CLUSTER = a_cluster()
POD = make_scheduler_pod(CLUSTER)


def shape(*plugins, obj=POD, defaults=None):
    return Shaper(defaults, {f"p{index}": each for index, each in enumerate(plugins)}).shape(obj, CLUSTER)


def test_each_gets_what_the_one_before_made_and_the_owner():
    def first(kind, obj, owner):
        obj["metadata"]["labels"]["from"] = owner["metadata"]["name"]
        return obj

    def second(kind, obj, owner):
        return {**obj, "spec": {**obj["spec"], "priorityClassName": obj["metadata"]["labels"]["from"] + kind}}

    assert shape(first, second)["spec"]["priorityClassName"] == "fooPod"
    assert "from" not in POD["metadata"]["labels"], "what was planned is left as it is"


def test_they_come_after_the_defaults():
    def look(kind, obj, owner):
        assert obj["metadata"]["labels"]["team"] == "data"
        return obj

    shape(look, defaults=parse_defaults({"labels": {"team": "data"}}))


def test_a_plugin_may_leave_kinds_alone():
    service = make_scheduler_service(CLUSTER)
    assert shape(lambda kind, obj, owner: obj, obj=service) == service


def rename(kind, obj, owner):
    obj["metadata"]["name"] = "other"
    return obj


def disown(kind, obj, owner):
    del obj["metadata"]["ownerReferences"]
    return obj


def relabel(kind, obj, owner):
    obj["metadata"]["labels"]["dask.org/cluster-name"] = "other"
    return obj


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (rename, "The plug-in 'p0' changed metadata.name, which the operator goes by."),
        (disown, "The plug-in 'p0' changed metadata.ownerReferences, which the operator goes by."),
        (
            relabel,
            "The plug-in 'p0' changed the label dask.org/cluster-name, which the operator goes by.",
        ),
        (lambda kind, obj, owner: None, "The plug-in 'p0' failed: returned NoneType, not the object"),
        (lambda kind, obj, owner: {**obj, "kind": "Job"}, "The plug-in 'p0' changed kind, which the"),
        (lambda kind: kind, "The plug-in 'p0' failed: "),
    ],
)
def test_what_a_plugin_must_not_do(plugin, said):
    with pytest.raises(ShapingFailed) as error:
        shape(plugin)
    assert str(error.value).startswith(said)


def test_a_plugin_that_cannot_be_loaded_fails_when_it_is_called(monkeypatch):
    points = [EntryPoint("gone", "no_such_package:function", plugins.GROUP)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    found = installed_plugins()
    with pytest.raises(ShapingFailed, match=r"'gone' failed: cannot be loaded: No module named"):
        Shaper(plugins=found).shape(POD, CLUSTER)
