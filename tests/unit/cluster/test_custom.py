from __future__ import annotations

import re

import pytest
import yaml

from dask_gpu_k8s import make_cluster_spec
from dask_gpu_k8s.cluster.custom import load_custom_cluster
from dask_gpu_k8s.errors import InvalidArgument, InvalidType
from dask_gpu_k8s.kube.frozen import freeze


def cluster(**changes):
    """A DaskCluster with fields set by their path, e.g. ``spec__worker__replicas=2``."""
    manifest = make_cluster_spec("demo", "dask")
    for path, value in changes.items():
        *way, last = path.split("__")
        here = manifest
        for step in way:
            here = here[int(step)] if step.isdigit() else here[step]
        here[last] = value
    return manifest


def test_a_mapping_is_taken_as_it_is():
    manifest = cluster(spec__worker__replicas=2)
    assert load_custom_cluster(freeze(manifest)) == manifest


def test_a_file(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(cluster()))
    assert load_custom_cluster(path) == load_custom_cluster(str(path)) == cluster()


def test_the_name_is_filled_in(monkeypatch):
    monkeypatch.setenv("TEAM", "blue")
    assert load_custom_cluster(cluster(metadata__name="{TEAM}-1"))["metadata"]["name"] == "blue-1"


MISSPELT = {
    "spec": ({"spec__workers": {}}, "spec.workers: unknown field; did you mean 'worker'?"),
    "role": ({"spec__worker__replica": 2}, "spec.worker.replica: unknown field; did you mean 'replicas'?"),
    "pod": (
        {"spec__worker__spec__nodeSelectors": {}},
        "spec.worker.spec.nodeSelectors: unknown field; did you mean 'nodeSelector'?",
    ),
    "container": (
        {"spec__worker__spec__containers__0__resource": {}},
        "spec.worker.spec.containers[0].resource: unknown field; did you mean 'resources'?",
    ),
    "resources": (
        {"spec__worker__spec__containers__0__resources": {"limit": {"nvidia.com/gpu": 1}}},
        "spec.worker.spec.containers[0].resources.limit: unknown field; did you mean 'limits'?",
    ),
    "service": (
        {"spec__scheduler__service__selectors": {}},
        "spec.scheduler.service.selectors: unknown field; did you mean 'selector'?",
    ),
    "metadata of a role": (
        {"spec__worker__metadata": {"label": {}}},
        "spec.worker.metadata.label: unknown field; did you mean 'labels'?",
    ),
}


@pytest.mark.parametrize("level", MISSPELT)
def test_a_misspelt_key(level):
    changes, message = MISSPELT[level]
    with pytest.raises(InvalidArgument, match=rf"^custom_cluster_spec: .*\n  {re.escape(message)}"):
        load_custom_cluster(cluster(**changes))


def test_all_faults_are_named_at_once():
    with pytest.raises(InvalidArgument) as caught:
        load_custom_cluster(cluster(spec__worker__replicas="two", spec__schedular={}))
    assert "spec.schedular" in str(caught.value)
    assert "spec.worker.replicas" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (3, InvalidType, "must be a path or a mapping, not int"),
        ({"kind": "Pod", "apiVersion": "v1"}, InvalidArgument, "is 'Pod' of 'v1'. Give a DaskCluster of"),
        ({**make_cluster_spec("demo", "dask"), "metadata": {}}, InvalidArgument, "metadata.name: is missing"),
        ("no/such/file.yaml", InvalidArgument, "no/such/file.yaml cannot be read (No such file"),
    ],
)
def test_what_is_no_cluster(source, error, message):
    with pytest.raises(error, match=re.escape(message)):
        load_custom_cluster(source)


def test_a_bad_name():
    with pytest.raises(InvalidArgument, match=r"^custom_cluster_spec: metadata.name: 'a.b' must start"):
        load_custom_cluster(cluster(metadata__name="a.b"))


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2"])
def test_a_file_that_is_no_manifest(tmp_path, text):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises((InvalidArgument, InvalidType), match=r"is not YAML|must hold one object, not list"):
        load_custom_cluster(path)
