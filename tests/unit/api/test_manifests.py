from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from dask_gpu_k8s.api.manifests import (
    builtin_schemas,
    crds,
    custom_schemas,
    operator_manifests,
    pod_schema,
    validate_custom,
)
from dask_gpu_k8s.api.schema import apply_defaults, prune, unknown_fields, validate

EXAMPLE = Path(__file__).parents[3] / "examples" / "rapids-dask-cluster.yaml"


@pytest.fixture
def cluster():
    return yaml.safe_load(EXAMPLE.read_text("utf-8"))


def put(obj, path, value):
    """Set a field; steps are keys, or numbers of items."""
    *steps, last = path.split("/")
    for step in steps:
        obj = obj[int(step) if step.isdigit() else step]
    obj[last] = value


@pytest.mark.parametrize("path", sorted(EXAMPLE.parent.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_right(path):
    assert [
        fault for each in yaml.safe_load_all(path.read_text("utf-8")) for fault in validate_custom(each)
    ] == []


def test_the_example_is_right(cluster):
    before = copy.deepcopy(cluster)
    assert validate_custom(cluster) == []
    assert cluster == before


def test_defaults_fill_in_little(cluster):
    schema = custom_schemas()["DaskCluster"]
    filled = apply_defaults(schema, prune(schema, cluster))
    assert "env" not in filled["spec"]["scheduler"]["spec"]["containers"][0]
    cluster["spec"]["scheduler"]["spec"]["containers"][0].pop("env")
    cluster["spec"]["idleTimeout"] = 0
    assert filled == cluster


WORKER = "spec/worker/spec/containers/0"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("specs", {}, "specs: unknown field; did you mean 'spec'?"),
        ("metadata/label", {}, "metadata.label: unknown field; did you mean 'labels'?"),
        ("spec/workers", {}, "spec.workers: unknown field; did you mean 'worker'?"),
        ("spec/worker/replica", 2, "spec.worker.replica: unknown field; did you mean 'replicas'?"),
        ("spec/worker/spec/volume", [], "spec.worker.spec.volume: unknown field; did you mean 'volumes'?"),
        (f"{WORKER}/resources/limit", {}, "resources.limit: unknown field; did you mean 'limits'?"),
        (f"{WORKER}/resources/limits/cpu", "4 cores", "must be a quantity, such as '500m', '2' or '4Gi'"),
        (f"{WORKER}/image", 3, "spec.worker.spec.containers[0].image: Invalid value: 3: must be a string"),
        ("spec/worker/replicas", -1, "spec.worker.replicas: Invalid value: -1: must be at least 0"),
        ("spec/worker/replicas", "2", 'spec.worker.replicas: Invalid value: "2": must be an integer'),
        ("metadata/name", "1abc", "must start with a lower-case letter"),
        ("metadata/name", "Abc", "must start with a lower-case letter"),
        ("metadata/name", "a.b", "hold only lower-case letters, digits and '-'"),
        ("metadata/name", "a" * 54, "must be at most 53 characters long"),
        ("metadata/labels/x", 1, "metadata.labels.x: Invalid value: 1: must be a string"),
        ("spec/worker/spec/containers", None, "spec.worker.spec.containers: Required value"),
        ("kind", "DaskCluter", "kind: 'DaskCluter' is not one of DaskCluster, "),
    ],
)  # fmt: skip
def test_show_4_bad_input_is_said(cluster, path, value, said):
    put(cluster, path, value)
    found = validate_custom(cluster)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{WORKER}/resources/limits", {"nvidia.com/gpu": 1, "cpu": "500m", "memory": "4Gi"}),
        ("spec/scheduler/service/ports/0/targetPort", 8786),
        ("spec/scheduler/spec/containers/0/readinessProbe/httpGet/port", 8787),
        ("spec/worker/replicas", 0),
        ("metadata/name", "a" * 53),
        (f"{WORKER}/env", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        (f"{WORKER}/restartPolicy", "Always"),
        ("spec/worker/spec/resourceClaims", [{"name": "gpu", "resourceClaimName": "x"}]),
        ("spec/worker/metadata", {"labels": {"a": "b"}, "annotations": {"c": "d"}}),
        ("metadata/creationTimestamp", None),
    ],
)
def test_what_a_kubernetes_takes_is_taken(cluster, path, value):
    put(cluster, path, value)
    assert validate_custom(cluster) == []


def flyte_job():
    """A DaskJob with the empty parts that Flyte's Go structures bring along."""
    worker = {"name": "dask-worker", "image": "x", "args": ["dask-worker"], "resources": {}}
    scheduler = {
        "name": "scheduler",
        "image": "x",
        "ports": [{"name": "dashboard", "containerPort": 8787}],
        "readinessProbe": {"httpGet": {"port": "dashboard"}},
    }
    service = {"type": "NodePort", "ports": [{"name": "dashboard", "port": 8787, "targetPort": "dashboard"}]}
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskJob",
        "metadata": {"name": "flyte", "creationTimestamp": None},
        "spec": {
            "job": {"spec": {"restartPolicy": "Never", "containers": [{"name": "job-runner", "image": "x"}]}},
            "cluster": {
                "metadata": {"creationTimestamp": None, "labels": {"a": "b"}, "annotations": {}},
                "status": {},
                "spec": {
                    "worker": {"replicas": 3, "spec": {"containers": [worker]}},
                    "scheduler": {"spec": {"containers": [scheduler]}, "service": service},
                },
            },
        },
        "status": {"jobStatus": "", "startTime": None, "endTime": None},
    }


def test_what_flyte_writes_is_taken():
    job = flyte_job()
    assert validate_custom(job) == []
    schema = custom_schemas()["DaskJob"]
    stored = apply_defaults(schema, prune(schema, job))
    assert stored["status"] == job["status"]
    assert stored["spec"]["cluster"]["metadata"]["labels"] == {"a": "b"}
    assert "restartPolicy" not in stored["spec"]["cluster"]["spec"]["worker"]["spec"]


@pytest.mark.parametrize(
    "word", ["", "JobCreated", "ClusterCreated", "Running", "Successful", "Failed", "Other"]
)
def test_any_job_status_is_taken(word):
    job = flyte_job()
    job["status"]["jobStatus"] = word
    assert validate_custom(job) == []


def test_crds_are_handed_out_as_copies():
    crds()[0]["metadata"]["name"] = "changed"
    assert crds()[0]["metadata"]["name"] == "daskclusters.kubernetes.dask.org"


@pytest.mark.parametrize(
    "manifest", [*crds(), *operator_manifests()], ids=lambda made: made["metadata"]["name"]
)
def test_what_is_installed_fits_kubernetes_schemas(manifest):
    schema = builtin_schemas()[manifest["kind"]]
    assert unknown_fields(schema, manifest) == []
    assert validate(schema, manifest) == []


def test_the_operator_is_a_bare_pod_in_a_namespace_of_its_own():
    namespace, pod = operator_manifests(namespace="here", command=["run", "it"])
    assert namespace["metadata"]["name"] == pod["metadata"]["namespace"] == "here"
    assert pod["spec"]["restartPolicy"] == "Always"
    assert pod["spec"]["containers"][0]["command"] == ["run", "it"]
    assert not pod["spec"]["containers"][0]["image"].endswith(":latest")


def test_a_worker_pod_as_it_is_sent_fits_the_pod_schema(cluster):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "w"},
        "spec": cluster["spec"]["worker"]["spec"],
    }
    assert unknown_fields(pod_schema(), pod) == []
    assert validate(pod_schema(), apply_defaults(pod_schema(), pod)) == []
