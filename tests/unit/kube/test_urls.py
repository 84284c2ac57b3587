from __future__ import annotations

import pytest

from dask_gpu_k8s.api.resources import CRD, DASKCLUSTER, LEASE, NODE, POD
from dask_gpu_k8s.kube.urls import ALL_NAMESPACES, describe, query, resource_path, selector


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "sub", "path"),
    [
        (POD, "default", None, None, "/api/v1/namespaces/default/pods"),
        (POD, "default", "web", None, "/api/v1/namespaces/default/pods/web"),
        (POD, "default", "web", "log", "/api/v1/namespaces/default/pods/web/log"),
        (POD, ALL_NAMESPACES, None, None, "/api/v1/pods"),
        (NODE, None, "one", None, "/api/v1/nodes/one"),
        (NODE, "default", None, None, "/api/v1/nodes"),
        (
            DASKCLUSTER,
            "a",
            "b",
            "status",
            "/apis/kubernetes.dask.org/v1/namespaces/a/daskclusters/b/status",
        ),
        (LEASE, "a", "b", None, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"),
        (
            CRD,
            None,
            "x.example.org",
            None,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x.example.org",
        ),
        (POD, "default", "../secrets", None, "/api/v1/namespaces/default/pods/..%2Fsecrets"),
    ],
)
def test_paths(resource, namespace, name, sub, path):
    assert resource_path(resource, namespace, name, sub) == path


@pytest.mark.parametrize(
    ("namespace", "name", "sub", "message"),
    [
        (None, None, None, "live in a namespace"),
        ("", "web", None, "live in a namespace"),
        (ALL_NAMESPACES, "web", None, "lives in one namespace"),
        ("default", None, "log", "needs the name"),
        ("default", "", None, "must not be empty"),
    ],
)
def test_paths_that_cannot_exist(namespace, name, sub, message):
    with pytest.raises(ValueError, match=message):
        resource_path(POD, namespace, name, sub)


def test_a_query_leaves_out_what_is_not_given():
    assert query({}) == ""
    assert query({"a": None}) == ""
    assert query({"watch": True, "x": None, "limit": 500, "continue": "a+b/="}) == (
        "?watch=true&limit=500&continue=a%2Bb%2F%3D"
    )


def test_selectors():
    assert selector(None) is None
    assert selector({}) is None
    assert selector("") is None
    assert selector("a in (b, c)") == "a in (b, c)"
    assert selector({"a": "b", "c/d": "e"}) == "a=b,c/d=e"


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "sub", "words"),
    [
        (DASKCLUSTER, "a", "b", "status", "patch daskclusters.kubernetes.dask.org/status a/b"),
        (POD, "a", None, None, "patch pods in a"),
        (POD, ALL_NAMESPACES, None, None, "patch pods"),
        (NODE, "a", "n", None, "patch nodes n"),
    ],
)
def test_a_request_in_words(resource, namespace, name, sub, words):
    assert describe("patch", resource, namespace, name, sub) == words
