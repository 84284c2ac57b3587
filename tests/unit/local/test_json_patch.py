"""JSON patches (RFC 6902), applied without touching their target."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dask_gpu_k8s.local.machinery.patch import BadPatch, json_patch

TARGET = {"a": 1, "list": ["x", "y"], "deep": {"k": {"v": 1}}, "sl/ash": {"til~de": 1}}


@pytest.mark.parametrize(
    ("step", "path", "value"),
    [
        ({"op": "add", "path": "/b", "value": 2}, ["b"], 2),
        ({"op": "add", "path": "/a", "value": 2}, ["a"], 2),
        ({"op": "add", "path": "/list/-", "value": "z"}, ["list"], ["x", "y", "z"]),
        ({"op": "add", "path": "/list/1", "value": "z"}, ["list"], ["x", "z", "y"]),
        ({"op": "add", "path": "/list/2", "value": "z"}, ["list"], ["x", "y", "z"]),
        ({"op": "remove", "path": "/list/0"}, ["list"], ["y"]),
        ({"op": "replace", "path": "/deep/k", "value": 5}, ["deep"], {"k": 5}),
        ({"op": "replace", "path": "/list/1", "value": 5}, ["list"], ["x", 5]),
        ({"op": "move", "from": "/a", "path": "/deep/a"}, ["deep", "a"], 1),
        ({"op": "copy", "from": "/deep/k", "path": "/deep/c"}, ["deep", "c"], {"v": 1}),
        ({"op": "replace", "path": "/sl~1ash/til~0de", "value": 2}, ["sl/ash", "til~de"], 2),
        ({"op": "test", "path": "/deep", "value": {"k": {"v": 1}}}, ["a"], 1),
        ({"op": "test", "path": "/nothing", "value": None}, ["a"], 1),
        ({"op": "replace", "path": "", "value": {"n": 1}}, ["n"], 1),
    ],
)
def test_operations(step: dict, path: list[str], value: Any) -> None:
    before = copy.deepcopy(TARGET)
    found: Any = json_patch(TARGET, [step])
    for key in path:
        found = found[key]
    assert found == value
    assert before == TARGET


@pytest.mark.parametrize(
    "step",
    [
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/no/way", "value": 1},
        {"op": "add", "path": "/b"},
        {"op": "add", "path": "b", "value": 1},
        {"op": "remove", "path": "/nothing"},
        {"op": "remove", "path": "/list/x"},
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "move", "from": "/nothing", "path": "/a"},
        {"op": "copy", "path": "/b"},
        {"op": "test", "path": "/a", "value": 2},
        {"op": "jump", "path": "/a"},
        {"path": "/a"},
        {"op": "add", "path": "/a/b", "value": 1},
    ],
)
def test_what_does_not_fit(step: dict) -> None:
    with pytest.raises(BadPatch):
        json_patch(TARGET, [step])


@pytest.mark.parametrize("patch", [{}, ["x"], [[]], [{"op": "test", "path": "/a", "value": 1}] * 10_001])
def test_what_is_no_patch(patch: Any) -> None:
    with pytest.raises(BadPatch):
        json_patch(TARGET, patch)
