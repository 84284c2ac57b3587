from __future__ import annotations

import re

import pytest

from dask_gpu_k8s import make_cluster_spec, make_worker_spec
from dask_gpu_k8s.api.manifests import validate_custom
from dask_gpu_k8s.cluster.facts import facts
from dask_gpu_k8s.cluster.group_spec import make_group
from dask_gpu_k8s.errors import InvalidArgument, InvalidType
from dask_gpu_k8s.kube.frozen import freeze

CLUSTER = freeze(
    make_cluster_spec(
        "demo",
        "dask:1",
        2,
        {"limits": {"cpu": "1"}},
        {"A": "1"},
        "dask worker --nthreads 2",
        worker_options={"node_selector": {"pool": "cpu"}, "env_from": ["secret"]},
    )
)


def container(group):
    return group["spec"]["worker"]["spec"]["containers"][0]


def test_what_is_not_said_is_as_in_the_cluster():
    group = make_group(CLUSTER, "extra")
    assert group["metadata"] == {
        "name": "demo-extra",
        "labels": {"dask.org/cluster-name": "demo", "dask.org/component": "workergroup"},
    }
    assert group["spec"] == {"cluster": "demo", "worker": {**CLUSTER["spec"]["worker"], "replicas": 3}}


def test_what_is_said():
    group = make_group(
        CLUSTER,
        "gpu",
        0,
        image="rapids:1",
        resources={"limits": {"nvidia.com/gpu": 1}},
        worker_command="dask cuda worker",
        env={"B": 2},
    )
    assert group["spec"]["worker"]["replicas"] == 0, "zero is a number"
    assert container(group) == {
        "name": "worker",
        "image": "rapids:1",
        "imagePullPolicy": "IfNotPresent",
        "args": ["dask", "cuda", "worker", "--name", "$(DASK_WORKER_NAME)"],
        "env": [{"name": "B", "value": "2"}],
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "envFrom": [{"secretRef": {"name": "secret"}}],
    }
    assert validate_custom(group) == []


def test_options_take_the_place_of_the_clusters():
    group = make_group(CLUSTER, "gpu", options={"tolerations": [{"operator": "Exists"}]})
    spec = group["spec"]["worker"]["spec"]
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert "nodeSelector" not in spec
    assert "envFrom" not in container(group)
    assert container(group)["args"] == ["dask", "worker", "--nthreads", "2", "--name", "$(DASK_WORKER_NAME)"]


def test_a_custom_spec_is_used_as_it_is():
    spec = make_worker_spec("other:1", 4, env={"C": "3"})
    group = make_group(CLUSTER, "gpu", 9, image="ignored", custom_spec=freeze(spec))
    assert group["spec"]["worker"] == spec


def test_a_command_takes_the_place_of_one_in_the_manifest():
    cluster = make_cluster_spec("demo", "dask:1")
    cluster["spec"]["worker"]["spec"]["containers"][0] |= {
        "command": ["/bin/sh", "-c"],
        "args": ["dask worker"],
    }
    group = make_group(cluster, "gpu", worker_command="dask worker")
    assert "command" not in container(group)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": 1}, InvalidType, "name: must be a string, not 1"),
        ({"name": "G_1"}, InvalidArgument, "name: 'G_1' is no name for a worker group. Use lower-case"),
        ({"name": "g" * 59}, InvalidArgument, f"name: '{'g' * 59}' is no name"),
        ({"n_workers": -1}, InvalidArgument, "n_workers: must be at least 0"),
        ({"image": 1}, InvalidType, "image: must be a string"),
        ({"resources": {"limits": {"cpu": "x"}}}, InvalidArgument, "resources['limits']['cpu']: 'x'"),
        ({"custom_spec": 1}, InvalidType, "custom_spec: must be a mapping as from make_worker_spec()"),
        (
            {"custom_spec": {"replica": 1, "spec": {"containers": []}}},
            InvalidArgument,
            "custom_spec: the resource",
        ),
        (
            {"options": {"overlay": {"spec": {"nodeSelectors": {}}}}},
            InvalidArgument,
            "options: the resource has",
        ),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        make_group(CLUSTER, **{"name": "gpu", **arguments})


def test_facts_of_a_cluster_made_here():
    assert facts(CLUSTER) == {
        "image": "dask:1",
        "n_workers": 2,
        "resources": {"limits": {"cpu": "1"}},
        "env": [{"name": "A", "value": "1"}],
        "worker_command": ["dask", "worker", "--nthreads", "2"],
        "jupyter": False,
        "scheduler_service_type": "ClusterIP",
        "worker_options": {
            "env_from": [{"secretRef": {"name": "secret"}}],
            "node_selector": {"pool": "cpu"},
        },
        "scheduler_options": {},
        "scheduler_resources": {},
        "idle_timeout": 0,
        "ttl": 0,
    }


def test_facts_of_a_cluster_made_elsewhere():
    """A sidecar first, a shell command, no args, no replicas."""
    worker = {
        "containers": [{"name": "sidecar"}, {"name": "worker", "image": "i", "command": ["sh", "-c", "x"]}]
    }
    scheduler = {"containers": [{"name": "s", "command": ["dask", "scheduler", "--jupyter"]}]}
    found = facts({"spec": {"worker": {"spec": worker}, "scheduler": {"spec": scheduler}}})
    assert (found["image"], found["n_workers"], found["worker_command"]) == ("i", 1, ["sh", "-c", "x"])
    assert found["jupyter"]
