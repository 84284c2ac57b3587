"""The CRDs: as their script writes them, small enough, structural, and with every field that a Pod has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from dask_gpu_k8s.api import names, resources
from dask_gpu_k8s.api.builtin import definition
from dask_gpu_k8s.api.crd import make_crds

CRDS = {crd["spec"]["names"]["kind"]: crd for crd in make_crds()}
FOLDER = Path(resources.__file__).parent / "crds"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def schema(kind):
    return CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def at(kind, path):
    here = schema(kind)
    for step in path.split("."):
        here = here["items"] if step == "[]" else here["properties"][step]
    return here


def parts(node, path="$"):
    """Walk through a schema and all schemas in it."""
    yield path, node
    for key, below in node.get("properties", {}).items():
        yield from parts(below, f"{path}.{key}")
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield from parts(node[word], f"{path}[]")


@pytest.mark.parametrize("kind", CRDS)
def test_the_yaml_files_are_what_the_code_makes(kind):
    path = FOLDER / f"{CRDS[kind]['spec']['names']['plural']}.yaml"
    assert yaml.load(path.read_text("utf-8"), Loader=LOADER) == CRDS[kind]


@pytest.mark.parametrize("kind", CRDS)
def test_plain_kubectl_apply_takes_it(kind):
    """It keeps the whole object in an annotation, and annotations end at 262,144 bytes."""
    assert len(json.dumps(CRDS[kind], separators=(",", ":")).encode()) < 262_144


@pytest.mark.parametrize("kind", CRDS)
def test_names_and_subresources_are_those_of_the_resource(kind):
    resource = next(item for item in resources.DASK_RESOURCES if item.kind == kind)
    spec = CRDS[kind]["spec"]
    assert CRDS[kind]["metadata"]["name"] == resource.full_name == f"{resource.plural}.kubernetes.dask.org"
    assert tuple(spec["names"].get("shortNames", ())) == resource.short
    assert set(spec["versions"][0]["subresources"]) == set(resource.subresources)


@pytest.mark.parametrize("kind", CRDS)
def test_it_is_structural(kind):
    for path, part in parts(schema(kind)):
        assert part.keys() & {
            "type",
            "x-kubernetes-int-or-string",
            "x-kubernetes-preserve-unknown-fields",
        }, f"{path} has no type"
        assert not [key for key in part if key.startswith("x-kubernetes-patch")], path
        if part.get("x-kubernetes-int-or-string"):
            assert "type" not in part
            assert part["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        for key in part.get("x-kubernetes-list-map-keys", ()):
            item = part["items"]
            assert key in item.get("required", ()) or "default" in item["properties"][key], f"{path}.{key}"


@pytest.mark.parametrize("kind", CRDS)
def test_printer_columns_point_at_fields(kind):
    columns = CRDS[kind]["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [column for column in columns if not column.get("priority")]
    assert shown[-1]["name"] == "Age"
    assert columns[: len(shown)] == shown, "those of -o wide come after the others"
    for column in columns:
        path = re.sub(r"\[\?\(.*?\)\]", ".[]", column["jsonPath"].removeprefix("."))
        if column["name"] != "Age":
            assert at(kind, path)["type"] == column["type"]


POD_SPECS = [
    ("DaskCluster", "spec.worker.spec"),
    ("DaskCluster", "spec.scheduler.spec"),
    ("DaskWorkerGroup", "spec.worker.spec"),
    ("DaskJob", "spec.job.spec"),
    ("DaskJob", "spec.cluster.spec.worker.spec"),
    ("DaskJob", "spec.cluster.spec.scheduler.spec"),
]


@pytest.mark.parametrize(("kind", "path"), POD_SPECS)
def test_row_41_every_field_of_a_pod_spec_is_there(kind, path):
    """Newer Pod fields (device claims, native sidecars, gRPC probes) must survive."""
    ours = {place for place, _ in parts(at(kind, path))}
    trimmed = ".metadata."  # of a volume claim template: there Kubernetes takes labels and annotations only
    theirs = {place for place, _ in parts(definition("PodSpec")) if trimmed not in place}
    assert theirs <= ours
    assert {"$.resourceClaims", "$.containers[].restartPolicy", "$.containers[].livenessProbe.grpc"} <= ours


@pytest.mark.parametrize(("kind", "path"), POD_SPECS)
def test_a_pod_spec_gets_no_default_that_a_pod_would_not_get(kind, path):
    spec = at(kind, path)
    assert "containers" in spec["required"]
    assert spec["properties"]["containers"]["items"]["required"] == ["name"]
    assert "default" not in spec["properties"]["restartPolicy"]
    defaults = {place.rpartition(".")[2] for place, part in parts(spec) if "default" in part}
    assert defaults == {
        "protocol", "cachingMode", "fsType", "kind", "iscsiInterface", "keyring", "pool", "user",
        "storageMode",
    }  # fmt: skip


def test_quantities_and_ports_may_be_numbers():
    limits = at("DaskCluster", "spec.worker.spec.containers.[].resources.limits")
    assert limits["additionalProperties"]["x-kubernetes-int-or-string"]
    assert at("DaskCluster", "spec.scheduler.service.ports.[].targetPort")["x-kubernetes-int-or-string"]
    probe = at("DaskCluster", "spec.scheduler.spec.containers.[].readinessProbe.httpGet.port")
    assert probe["x-kubernetes-int-or-string"]


def test_required_fields_and_defaults_are_upstreams():
    assert at("DaskCluster", "spec")["required"] == ["scheduler", "worker"]
    assert at("DaskCluster", "spec.scheduler")["required"] == ["spec", "service"]
    assert at("DaskCluster", "spec.worker")["required"] == ["spec"]
    assert at("DaskCluster", "spec.idleTimeout")["default"] == 0
    for kind in ("DaskCluster", "DaskWorkerGroup"):
        replicas = at(kind, "spec.worker.replicas")
        assert (replicas["default"], replicas["minimum"]) == (1, 0)
    assert at("DaskWorkerGroup", "spec")["required"] == ["cluster", "worker"]
    assert at("DaskJob", "spec")["required"] == ["cluster", "job"]
    assert at("DaskAutoscaler", "spec")["required"] == ["cluster", "minimum", "maximum"]


def test_names_are_restricted_in_the_schema():
    for kind in ("DaskCluster", "DaskJob"):
        assert at(kind, "metadata.name")["maxLength"] == 53
        assert at(kind, "metadata.name")["pattern"] == names.CLUSTER_NAME_PATTERN
    assert at("DaskWorkerGroup", "metadata.name")["maxLength"] == 63
    assert at("DaskAutoscaler", "metadata") == {"type": "object"}


def test_no_state_word_is_refused():
    """Flyte writes an empty jobStatus, and later versions may have states of their own."""
    assert "enum" not in at("DaskJob", "status.jobStatus")
    assert "enum" not in at("DaskCluster", "status.phase")
