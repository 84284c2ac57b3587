from __future__ import annotations

import json

import pytest

from dask_gpu_k8s.kube.frozen import freeze


def test_a_frozen_copy_is_equal_and_refuses_every_change():
    original = {"a": [1, {"b": 2}], "c": None}
    frozen = freeze(original)
    assert frozen == original
    assert json.loads(json.dumps(frozen)) == original
    for change in (
        lambda: frozen.update(a=1),
        lambda: frozen.__setitem__("a", 1),
        lambda: frozen.setdefault("d", 1),
        lambda: frozen["a"].append(1),
        lambda: frozen["a"][1].pop("b"),
        lambda: frozen["a"].sort(),
    ):
        with pytest.raises(TypeError, match="must not be changed"):
            change()
    original["a"].append(3)
    assert len(frozen["a"]) == 2
