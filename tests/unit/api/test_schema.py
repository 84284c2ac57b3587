from __future__ import annotations

import copy

import pytest

from dask_gpu_k8s.api.schema import apply_defaults, did_you_mean, fields_at, prune, unknown_fields

OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "default": 1},
                "note": {"type": "string", "nullable": True},
                "limits": {"type": "object", "additionalProperties": {"type": "string"}},
                "items": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "protocol": {"type": "string", "default": "TCP"},
                        },
                    },
                },
                "free": OPEN,
                "half": {**OPEN, "properties": {"known": {"type": "object", "properties": {}}}},
                "any": {"type": "object", "additionalProperties": True},
                "template": {"type": "object", "x-kubernetes-embedded-resource": True},
                "options": {
                    "type": "object",
                    "default": {},
                    "properties": {"depth": {"type": "integer", "default": 3}},
                },
            },
        }
    },
}


@pytest.fixture
def obj():
    made = {
        "apiVersion": "x/v1",
        "kind": "X",
        "metadata": {"name": "a", "labels": {"any": "label"}, "creationTimestamp": None, "lable": {}},
        "spec": {
            "replicas": None,
            "replica": 3,
            "note": None,
            "limits": {"nvidia.com/gpu": "1", "none": None},
            "items": [{"name": "a"}, {"name": "b", "nmae": "c", "protocol": "UDP"}],
            "free": {"x": {"y": 1}},
            "half": {"other": 1, "known": {"z": 1}},
            "any": {"thing": 1},
            "template": {"metadata": {"nmae": "x", "name": "y"}, "kind": "Z", "spec": {}},
        },
        "stauts": {},
    }
    before = copy.deepcopy(made)
    yield made
    assert made == before, "an argument was changed"


def test_unknown_fields(obj):
    assert unknown_fields(SCHEMA, obj) == [
        "metadata.lable",
        "spec.replica",
        "spec.items[1].nmae",
        "spec.half.known.z",
        "spec.template.metadata.nmae",
        "spec.template.spec",
        "stauts",
    ]


def test_part_of_a_resource_has_no_metadata_of_its_own():
    schema = SCHEMA["properties"]["spec"]
    assert unknown_fields(schema, {"metadata": {}, "replicas": 1}, "spec") == ["spec.metadata"]


def test_prune_drops_exactly_the_unknown_fields(obj):
    pruned = prune(SCHEMA, obj)
    assert unknown_fields(SCHEMA, pruned) == []
    assert pruned["spec"]["items"][1] == {"name": "b", "protocol": "UDP"}
    assert pruned["spec"]["free"] == {"x": {"y": 1}}
    assert pruned["spec"]["half"] == {"other": 1, "known": {}}
    assert pruned["spec"]["replicas"] is None
    assert pruned["metadata"] == {"name": "a", "labels": {"any": "label"}, "creationTimestamp": None}


def test_defaults_take_the_place_of_absent_fields_and_of_nulls(obj):
    spec = apply_defaults(SCHEMA, obj)["spec"]
    assert spec["replicas"] == 1
    assert spec["items"] == [
        {"name": "a", "protocol": "TCP"},
        {"name": "b", "nmae": "c", "protocol": "UDP"},
    ]
    assert spec["options"] == {"depth": 3}


def test_nulls_go_unless_nullable(obj):
    filled = apply_defaults(SCHEMA, obj)
    assert "creationTimestamp" not in filled["metadata"]
    assert filled["spec"]["note"] is None
    assert filled["spec"]["limits"] == {"nvidia.com/gpu": "1"}


def test_a_default_is_not_shared_between_objects():
    one, other = apply_defaults(SCHEMA, {"spec": {}}), apply_defaults(SCHEMA, {"spec": {}})
    one["spec"]["options"]["depth"] = 99
    assert other["spec"]["options"] == {"depth": 3}


def test_defaults_do_not_make_objects_that_are_absent():
    assert apply_defaults(SCHEMA, {"kind": "X"}) == {"kind": "X"}


@pytest.mark.parametrize(
    ("path", "some"),
    [
        ("", {"apiVersion", "kind", "metadata", "spec"}),
        ("metadata", {"name", "labels"}),
        ("spec", {"replicas", "items"}),
        ("spec.items[1]", {"name", "protocol"}),
        ("spec.template.metadata", {"name"}),
        ("spec.limits", set()),
        ("spec.nowhere.at.all", set()),
    ],
)
def test_fields_at(path, some):
    found = set(fields_at(SCHEMA, path))
    assert some <= found
    assert bool(some) == bool(found)


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("limit", "limits"), ("replica", "replicas"), ("idletimeout", "idleTimeout"),
        ("spec.limit", "limits"), ("zzz", None),
    ],
)  # fmt: skip
def test_did_you_mean(field, meant):
    assert did_you_mean(field, ["limits", "replicas", "idleTimeout"]) == meant
