"""Every GPU has one holder at a time."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.local.node.devices import Gpus, gpu_variables, visible
from tests.unit.local_node.builders import container, make_pod


def asking(uid, *counts, init=()):
    def wanting(name, count):
        return container(name, resources={"limits": {"nvidia.com/gpu": str(count)}} if count else {})

    mains = [wanting(f"c{index}", count) for index, count in enumerate(counts)]
    first = [wanting(f"i{index}", count) for index, count in enumerate(init)]
    return make_pod(*mains, init=first, meta={"uid": uid})


def test_shares_do_not_overlap():
    gpus = Gpus(["0", "1", "2", "3"])
    assert gpus.take(asking("a", 1, 2)) == {"c0": ["0"], "c1": ["1", "2"]}
    assert gpus.take(asking("b", 1)) == {"c0": ["3"]}
    assert gpus.take(asking("c", 1)) is None
    gpus.give_back(asking("a", 1, 2))
    assert gpus.take(asking("c", 1)) == {"c0": ["0"]}


def test_init_containers_use_those_of_the_others():
    gpus = Gpus(["0", "1"])
    assert gpus.take(asking("a", 1, init=[2])) == {"i0": ["0", "1"], "c0": ["0"]}


def test_pods_without_gpus_see_none():
    assert Gpus(["0"]).take(asking("a", 0)) == {"c0": []}
    assert gpu_variables([]) == {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
    assert gpu_variables(["GPU-1", "GPU-2"])["CUDA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (None, ["GPU-a0", "GPU-a1", "GPU-b2"]),
        ("", []),
        ("2, 0", ["GPU-b2", "GPU-a0"]),
        ("GPU-b,GPU-a1", ["GPU-b2", "GPU-a1"]),
        ("GPU-a", []),
        ("1,-1,0", ["GPU-a1"]),
        ("NoDevFiles", []),
    ],
)
def test_gpus_that_the_starter_may_not_use_are_not_handed_out(said, seen):
    assert visible(["GPU-a0", "GPU-a1", "GPU-b2"], said) == seen
