"""What a worker offers, read from its Pod."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.operator.daskautoscaler.offer import Offer, offer_of

VARIABLE = "DASK_DISTRIBUTED__WORKER__RESOURCES"


def a_group(**container: Any) -> dict[str, Any]:
    return {"spec": {"worker": {"spec": {"containers": [{"name": "worker", **container}]}}}}


@pytest.mark.parametrize(
    ("container", "resources"),
    [
        ({"args": ["dask", "worker"]}, {}),
        ({"args": ["dask", "worker", "--resources", "GPU=1"]}, {"GPU": 1}),
        ({"args": ["dask", "cuda", "worker", "--resources=GPU=1 MEM=10e9"]}, {"GPU": 1, "MEM": 10e9}),
        ({"command": ["dask-worker"], "args": ["--resources", "GPU=1,MEM=2"]}, {"GPU": 1, "MEM": 2}),
        ({"command": ["sh", "-c", "dask worker --resources 'GPU=2 A=1' --name $(X)"]}, {"GPU": 2, "A": 1}),
        ({"args": ["sh", "-c", "echo it's; dask worker --resources GPU=2"]}, {"GPU": 2}),
        ({"args": ["dask", "worker", "--resources"]}, {}),
        ({"args": ["dask", "worker", "--resources", "GPU"]}, {}),
        ({"env": [{"name": VARIABLE, "value": '{"GPU": 1}'}]}, {"GPU": 1}),
        ({"env": [{"name": VARIABLE, "value": "nonsense("}]}, {}),
        ({"env": [{"name": f"{VARIABLE}__gpu", "value": "2"}]}, {"gpu": 2}),
        # As Dask itself reads it: in small letters.
        ({"env": [{"name": f"{VARIABLE}__GPU", "value": "1"}]}, {"gpu": 1}),
        ({"env": [{"name": f"{VARIABLE}__GPU", "valueFrom": {}}]}, {}),
        ({"args": ["--resources", "A=1"], "env": [{"name": f"{VARIABLE}__B", "value": "1"}]}, {"A": 1}),
    ],
)
def test_resources(container, resources):
    assert offer_of(a_group(**container)).resources == resources


def test_what_the_autoscaler_says_wins():
    group = a_group(args=["dask", "worker", "--resources", "GPU=1"])
    assert offer_of(group, {"GPU": 4}).resources == {"GPU": 4}
    assert offer_of(group, {}).resources == {}


def test_threads_and_processes():
    assert offer_of(a_group(args=["dask", "worker"])) == Offer({}, 1, 1)
    words = ["dask", "worker", "--nthreads", "4", "--nworkers=2"]
    assert offer_of(a_group(args=words)) == Offer({}, 4, 2)
    assert offer_of(a_group(args=["dask", "worker", "--nworkers", "auto"])) == Offer({}, 1, 1)


def test_a_group_without_containers():
    assert offer_of({"spec": {"worker": {}}}) == Offer()
