"""What kubectl is told about a manifest with a mistake in it, and that nothing is made of it."""

from __future__ import annotations

import copy

import pytest
import yaml

from tests.conftest import EXAMPLES

MANIFEST = yaml.safe_load((EXAMPLES / "rapids-dask-cluster.yaml").read_text())
WORKER = "spec.worker.spec.containers.0"

MISSPELT = {
    "top": ("specs", "specs"),
    "metadata": ("metadata.label", "metadata.label"),
    "spec": ("spec.workers", "spec.workers"),
    "role": ("spec.worker.replica", "spec.worker.replica"),
    "pod": ("spec.worker.spec.volume", "spec.worker.spec.volume"),
    "container": (f"{WORKER}.arg", "spec.worker.spec.containers[0].arg"),
    "resources": (f"{WORKER}.resources.limit", "spec.worker.spec.containers[0].resources.limit"),
    "service": ("spec.scheduler.service.selectors", "spec.scheduler.service.selectors"),
}

WRONG = {
    "a dot in the name": ("metadata.name", "a.b", "metadata.name: Invalid value"),
    "upper case in the name": ("metadata.name", "Abc", "metadata.name: Invalid value"),
    "a digit first": ("metadata.name", "1abc", "metadata.name: Invalid value"),
    "54 letters": ("metadata.name", "a" * 54, "metadata.name: "),
    "negative replicas": ("spec.worker.replicas", -1, "spec.worker.replicas: Invalid value: -1"),
    "no quantity": (
        f"{WORKER}.resources.limits",
        {"cpu": "4 cores"},
        "spec.worker.spec.containers[0].resources.limits.cpu: Invalid value",
    ),
    "image of the wrong type": (f"{WORKER}.image", 3, "spec.worker.spec.containers[0].image: Invalid value"),
}


def with_field(place: str, value: object) -> str:
    """Return the page's manifest, with a field set, as YAML."""
    manifest = copy.deepcopy(MANIFEST)
    *way, last = place.split(".")
    here = manifest
    for step in way:
        here = here[int(step)] if isinstance(here, list) else here[step]
    here[last] = value
    return yaml.safe_dump(manifest)


@pytest.mark.parametrize("level", MISSPELT)
def test_a_misspelt_field(kubernetes, level):
    place, path = MISSPELT[level]
    said = kubernetes.kubectl("apply", "-f", "-", stdin=with_field(place, {}), check=False)
    assert f'unknown field "{path}"' in said
    assert names(kubernetes) == []


@pytest.mark.parametrize("what", WRONG)
def test_a_value_that_cannot_be(kubernetes, what):
    place, value, message = WRONG[what]
    said = kubernetes.kubectl("apply", "-f", "-", stdin=with_field(place, value), check=False)
    assert "is invalid" in said
    assert message in said
    assert names(kubernetes) == []


def a_job(name: str) -> str:
    runner = {"containers": [{"name": "runner", "image": "any", "command": ["true"]}]}
    spec = {"cluster": {"spec": MANIFEST["spec"]}, "job": {"spec": runner}}
    return yaml.safe_dump({**MANIFEST, "kind": "DaskJob", "metadata": {"name": name}, "spec": spec})


@pytest.mark.parametrize("name", ["a" * 60, "a.b", "a_b"], ids=["60 letters", "a dot", "an underscore"])
def test_row_26_a_name_that_cannot_be_is_refused_so_that_nothing_undeletable_is_made(kubernetes, name):
    for manifest in (with_field("metadata.name", name), a_job(name)):
        said = kubernetes.kubectl("apply", "-f", "-", stdin=manifest, check=False)
        assert "is invalid" in said
        assert "metadata.name" in said
    assert kubernetes.kubectl("get", "daskclusters,daskjobs", "-o", "name").split() == []


def names(kubernetes) -> list[str]:
    return kubernetes.kubectl("get", "daskclusters", "-o", "name").split()


def test_who_asks_for_less_gets_a_warning_or_nothing(kubernetes):
    manifest = with_field("spec.worker.replica", 2)
    dry = ("apply", "--dry-run=server", "-f", "-")
    warned = kubernetes.kubectl(*dry, "--validate=warn", stdin=manifest)
    assert 'Warning: unknown field "spec.worker.replica"' in warned
    silent = kubernetes.kubectl(*dry, "--validate=ignore", stdin=manifest)
    assert "Warning" not in silent
    assert "created (server dry run)" in silent
    assert names(kubernetes) == [], "a dry run makes nothing"
