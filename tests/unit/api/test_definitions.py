"""What installed definitions lack."""

from __future__ import annotations

import copy

import pytest

from dask_gpu_k8s.api.definitions import lacks
from dask_gpu_k8s.api.manifests import custom_schemas
from dask_gpu_k8s.api.resources import DASK_RESOURCES, DASKAUTOSCALER, DASKCLUSTER


@pytest.fixture
def document():
    """Return what an API server with our own definitions says of itself."""
    schemas, paths = {}, {}
    for resource in DASK_RESOURCES:
        gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        schema = copy.deepcopy(custom_schemas()[resource.kind])
        schemas[f"org.dask.kubernetes.v1.{resource.kind}"] = {
            **schema, "x-kubernetes-group-version-kind": [gvk]
        }  # fmt: skip
        place = f"/apis/{resource.group}/{resource.version}/namespaces/{{namespace}}/{resource.plural}"
        for sub in ("", *(f"/{{name}}/{each}" for each in resource.subresources)):
            paths[place + sub] = {}
    return {"components": {"schemas": schemas}, "paths": paths}


def schema_of(document, kind):
    return document["components"]["schemas"][f"org.dask.kubernetes.v1.{kind}"]


def test_nothing_where_they_are_ours(document):
    assert {found for resource in DASK_RESOURCES for found in lacks(document, resource)} == set()


def test_more_than_ours_is_fine(document):
    schema_of(document, "DaskCluster")["properties"]["spec"]["properties"]["later"] = {"type": "string"}
    assert list(lacks(document, DASKCLUSTER)) == []


def test_fields_without_what_is_below_them(document):
    spec = schema_of(document, "DaskCluster")["properties"]["spec"]["properties"]
    del spec["suspend"], spec["worker"]["properties"]["spec"]
    assert sorted(lacks(document, DASKCLUSTER)) == ["spec.suspend", "spec.worker.spec"]


def test_a_place_that_takes_anything_lacks_nothing(document):
    schema_of(document, "DaskCluster")["properties"]["spec"] = {"x-kubernetes-preserve-unknown-fields": True}
    assert list(lacks(document, DASKCLUSTER)) == []


def test_a_subresource(document):
    paths = document["paths"]
    del paths[next(path for path in paths if path.endswith("daskclusters/{name}/status"))]
    assert list(lacks(document, DASKCLUSTER)) == ["the subresource status"]


def test_all_of_it(document):
    assert list(lacks({}, DASKAUTOSCALER)) == ["DaskAutoscaler"]
    del document["components"]["schemas"]["org.dask.kubernetes.v1.DaskAutoscaler"]
    assert list(lacks(document, DASKAUTOSCALER)) == ["DaskAutoscaler"]
