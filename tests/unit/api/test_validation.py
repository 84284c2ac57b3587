from __future__ import annotations

import pytest

from dask_gpu_k8s.api.validation import SchemaError, child_path, validate

TEXT = {"type": "string"}
PORT = {"x-kubernetes-int-or-string": True}


def messages(schema, value):
    return [str(error) for error in validate(schema, value, "here")]


def fields(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("object", [{}], [[], "x"]),
        ("array", [[]], [{}, "x"]),
        ("string", ["", "x"], [1, True, {}]),
        ("boolean", [True, False], [0, "true"]),
        ("integer", [0, -1, 2.0], [True, "1", 1.5]),
        ("number", [0, 1.5], [True, "1"]),
    ],
)
def test_types(type_, good, bad):
    assert all(not validate({"type": type_}, value, "x") for value in good)
    for value in bad:
        (error,) = validate({"type": type_}, value, "x")
        assert error.reason == "FieldValueTypeInvalid"


def test_int_or_string():
    assert messages(PORT, 8786) == messages(PORT, "http") == []
    assert messages(PORT, 0.5) == ["here: Invalid value: 0.5: must be an integer or a string"]


def test_a_missing_field_is_named():
    (error,) = validate(fields(["image"], image=TEXT), {}, "spec.containers[0]")
    assert error == SchemaError("spec.containers[0].image", "Required value", "FieldValueRequired")


def test_a_null_counts_as_absent_unless_the_schema_allows_it():
    assert messages(fields(a=TEXT), {"a": None}) == []
    assert messages(fields(["a"], a=TEXT), {"a": None}) == ["here.a: Required value"]
    assert messages(fields(["a"], a={**TEXT, "nullable": True}), {"a": None}) == []


def test_a_null_in_a_list_is_wrong():
    assert messages({"type": "array", "items": TEXT}, ["a", None]) == [
        "here[1]: Invalid value: null: must be a string"
    ]


def test_values_of_a_map_are_checked_and_odd_keys_go_into_brackets():
    schema = {"type": "object", "additionalProperties": TEXT}
    assert messages(schema, {"nvidia.com/gpu": 1}) == [
        "here[nvidia.com/gpu]: Invalid value: 1: must be a string"
    ]
    assert child_path("", "spec") == "spec"


def test_twice_the_same_key_in_a_list_that_is_a_map():
    schema = {
        "type": "array",
        "items": fields(port={"type": "integer"}, protocol=TEXT),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
    }
    tcp, udp = {"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "UDP"}
    assert validate(schema, [tcp, udp], "ports") == []
    (error,) = validate(schema, [tcp, udp, {**tcp, "name": "x"}], "ports")
    assert (error.path, error.reason) == ("ports[2]", "FieldValueDuplicate")


def test_twice_the_same_in_a_set():
    schema = {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"}
    assert messages(schema, ["a", "b", "a"]) == ['here[2]: Duplicate value: "a"']


def test_junctors():
    text_or_number = {"anyOf": [{"type": "string"}, {"type": "number"}]}
    assert messages(text_or_number, "x") == messages(text_or_number, 1) == []
    assert len(messages(text_or_number, [])) == 1
    assert len(messages({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3)) == 1
    assert messages({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 1) == []
    assert messages({"allOf": [{"minimum": 1}, {"maximum": 0}]}, 2) == [
        "here: Invalid value: 2: must be at most 0"
    ]
    assert len(messages({"not": {"enum": ["x"]}}, "x")) == 1


def test_metadata_of_a_whole_resource_is_checked_whatever_its_schema_says():
    found = validate(fields(spec={"type": "object"}), {"metadata": {"labels": {"a": 1}}, "kind": 7})
    assert [error.path for error in found] == ["metadata.labels.a", "kind"]


def test_a_name_may_be_restricted_by_the_schema():
    schema = fields(metadata=fields(name={"type": "string", "maxLength": 3}))
    assert validate(schema, {"metadata": {"name": "abc", "labels": {"a": "b"}}}) == []
    (error,) = validate(schema, {"metadata": {"name": "abcd"}})
    assert error.path == "metadata.name"


def test_an_embedded_resource_has_metadata_too():
    schema = fields(template={"type": "object", "x-kubernetes-embedded-resource": True})
    (error,) = validate(schema, {"template": {"metadata": {"name": 1}}})
    assert error.path == "template.metadata.name"


def test_a_long_value_is_shortened_in_the_message():
    (message,) = messages({"maxLength": 1}, "x" * 5000)
    assert len(message) < 200
