from __future__ import annotations

import copy

import pytest

from dask_gpu_k8s.api.builtin import builtin_schemas
from dask_gpu_k8s.api.merge import merge_patch, strategic_merge


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # the cases of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target, patch, result):
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == result
    assert (target, patch) == before


def pod(**spec):
    return {"apiVersion": "v1", "kind": "Pod", "spec": spec}


def patched(target, patch):
    before = copy.deepcopy((target, patch))
    result = strategic_merge(builtin_schemas()["Pod"], target, patch)
    assert (target, patch) == before
    return result["spec"]


def test_containers_merge_by_name():
    target = pod(containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "y"}])
    patch = pod(containers=[{"name": "b", "args": ["z"]}, {"name": "c", "image": "new"}])
    assert patched(target, patch) == {
        "containers": [
            {"name": "a", "image": "x"},
            {"name": "b", "image": "y", "args": ["z"]},
            {"name": "c", "image": "new"},
        ]
    }


def test_env_within_a_container_merges_and_null_deletes():
    target = pod(containers=[{"name": "a", "env": [{"name": "X", "value": "1"}], "image": "x"}])
    patch = pod(containers=[{"name": "a", "env": [{"name": "Y", "value": "2"}], "image": None}])
    assert patched(target, patch)["containers"] == [
        {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}
    ]


def test_a_list_without_merge_key_is_replaced():
    target = pod(tolerations=[{"key": "a"}], containers=[{"name": "a", "args": ["x", "y"]}])
    patch = pod(tolerations=[{"key": "b"}], containers=[{"name": "a", "args": ["z"]}])
    assert patched(target, patch) == {
        "tolerations": [{"key": "b"}],
        "containers": [{"name": "a", "args": ["z"]}],
    }


def test_an_item_can_be_deleted_and_a_list_or_object_replaced():
    target = pod(
        containers=[{"name": "a"}, {"name": "b"}],
        volumes=[{"name": "v", "emptyDir": {}}],
        securityContext={"runAsUser": 1},
    )
    patch = pod(
        containers=[{"name": "a", "$patch": "delete"}],
        volumes=[{"$patch": "replace"}, {"name": "w", "emptyDir": {}}],
        securityContext={"$patch": "replace", "fsGroup": 2},
    )
    assert patched(target, patch) == {
        "containers": [{"name": "b"}],
        "volumes": [{"name": "w", "emptyDir": {}}],
        "securityContext": {"fsGroup": 2},
    }


def test_the_order_that_a_patch_sets():
    target = pod(containers=[{"name": "a"}, {"name": "sidecar"}, {"name": "b"}])
    patch = pod(containers=[{"name": "c"}]) | {}
    patch["spec"]["$setElementOrder/containers"] = [{"name": "c"}, {"name": "b"}, {"name": "a"}]
    assert [item["name"] for item in patched(target, patch)["containers"]] == ["c", "b", "a", "sidecar"]


def test_plain_values_merge_as_a_set_and_can_be_deleted():
    target = {"metadata": {"finalizers": ["a", "b"]}}
    patch = {"metadata": {"finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a"]}}
    merged = strategic_merge(builtin_schemas()["Pod"], target, patch)
    assert merged == {"metadata": {"finalizers": ["b", "c"]}}


def test_retain_keys_drops_the_other_members_of_a_union():
    target = pod(volumes=[{"name": "v", "emptyDir": {}}])
    patch = pod(volumes=[{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}])
    assert patched(target, patch)["volumes"] == [{"name": "v", "hostPath": {"path": "/x"}}]


def test_ports_of_a_crd_merge_by_all_their_keys():
    ports = {
        "type": "array",
        "items": {"type": "object"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
    }
    target = {"ports": [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "UDP"}]}
    patch = {"ports": [{"port": 1, "protocol": "UDP", "name": "x"}]}
    assert strategic_merge({"properties": {"ports": ports}}, target, patch) == {
        "ports": [{"port": 1, "protocol": "TCP"}, {"port": 1, "protocol": "UDP", "name": "x"}]
    }


def test_labels_merge_though_their_schema_names_none():
    target = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    merged = strategic_merge(
        builtin_schemas()["Pod"], target, {"metadata": {"labels": {"b": None, "c": "3"}}}
    )
    assert merged == {"metadata": {"labels": {"a": "1", "c": "3"}}}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (pod(containers=[{"image": "x"}]), "merge key 'name'"),
        (pod(securityContext={"$patch": "explode"}), r"unknown \$patch directive 'explode'"),
    ],
)
def test_a_patch_that_means_nothing_is_refused(patch, message):
    with pytest.raises(ValueError, match=message):
        strategic_merge(builtin_schemas()["Pod"], pod(containers=[]), patch)
