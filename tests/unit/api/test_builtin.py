from __future__ import annotations

import json

import pytest

from dask_gpu_k8s.api.builtin import builtin_schemas, definition, kubernetes_version
from dask_gpu_k8s.api.quantity import QUANTITY_PATTERN


def test_the_kinds():
    assert {"Pod", "Service", "Event", "Event.events.k8s.io", "CustomResourceDefinition"} <= set(
        builtin_schemas()
    )
    assert "involvedObject" in builtin_schemas()["Event"]["properties"]
    assert "regarding" in builtin_schemas()["Event.events.k8s.io"]["properties"]
    assert kubernetes_version().startswith("1.")


@pytest.mark.parametrize("kind", builtin_schemas())
def test_no_reference_is_left_and_no_prose(kind):
    text = json.dumps(builtin_schemas()[kind])
    assert '"$ref"' not in text
    assert '"description": "' not in text
    assert {"apiVersion", "kind", "metadata"} <= set(builtin_schemas()[kind]["properties"])


def test_what_merges_and_what_has_defaults_is_kept():
    containers = definition("PodSpec")["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["items"] is definition("Container")
    assert definition("ContainerPort")["properties"]["protocol"]["default"] == "TCP"
    limits = definition("ResourceRequirements")["properties"]["limits"]["additionalProperties"]
    assert limits["pattern"] == QUANTITY_PATTERN


def test_zero_values_of_go_are_no_defaults():
    assert "default" not in definition("EnvVar")["properties"]["name"]
    assert "name" in definition("EnvVar")["required"]


@pytest.mark.parametrize(("type_", "field"), [("Container", "env"), ("PodSpec", "imagePullSecrets")])
def test_a_pod_may_repeat_a_key(type_, field):
    assert "x-kubernetes-list-type" not in definition(type_)["properties"][field]
