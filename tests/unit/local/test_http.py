"""Paths, queries and accepted forms of the HTTP API."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.http.bodies import Form, parse_body, parse_patch, wanted_form
from dask_gpu_k8s.local.http.paths import Target, parse_path
from dask_gpu_k8s.local.http.query import delete_options, list_query, write_options


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target("", "v1", "pods")),
        ("/api/v1/namespaces/ns/pods", Target("", "v1", "pods", "ns")),
        ("/api/v1/namespaces/ns/pods/p/log", Target("", "v1", "pods", "ns", "p", "log")),
        ("/api/v1/namespaces", Target("", "v1", "namespaces")),
        ("/api/v1/namespaces/ns", Target("", "v1", "namespaces", None, "ns")),
        ("/api/v1/namespaces/ns/finalize", Target("", "v1", "namespaces", None, "ns", "finalize")),
        ("/api/v1/namespaces/ns/status", Target("", "v1", "namespaces", None, "ns", "status")),
        ("/apis/g/v1/things/a/scale", Target("g", "v1", "things", None, "a", "scale")),
        ("/apis/g/v1/namespaces/ns/things/a%3Ab", Target("g", "v1", "things", "ns", "a:b")),
        ("/api/v1", None),
        ("/apis/g/v1", None),
        ("/version", None),
        ("/api/v1/namespaces/ns/pods/p/log/more", None),
        ("/api/v1/namespaces//pods", None),
    ],
)
def test_paths(path: str, target: Target | None) -> None:
    found = parse_path(path)
    if path == "/api/v1/namespaces//pods":
        assert found is None or found.namespace == ""
    else:
        assert found == target


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form()),
        ("*/*", Form()),
        ("application/json", Form()),
        ("application/vnd.kubernetes.protobuf,application/json", Form()),
        (f"{TABLE},application/json", Form("Table", "Metadata")),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form()),
        ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
         Form("PartialObjectMetadataList", "Metadata")),
    ],
)  # fmt: skip
def test_forms(accept: str, form: Form) -> None:
    assert wanted_form(accept, "") == form


@pytest.mark.parametrize("accept", ["text/html", "application/vnd.kubernetes.protobuf"])
def test_forms_that_are_not_served(accept: str) -> None:
    with pytest.raises(StatusError) as caught:
        wanted_form(accept, "")
    assert caught.value.code == 406


def test_bodies() -> None:
    assert parse_body("application/json", b' {"a": 1}') == {"a": 1}
    assert parse_body("application/yaml", b"a: 2026-01-01x") == {"a": "2026-01-01x"}
    assert parse_body("application/json", b"  ") is None
    assert parse_patch("application/merge-patch+json", b"{}") == ("merge", {})
    with pytest.raises(StatusError) as caught:
        parse_body("application/yaml", b"a: [")
    assert caught.value.code == 400


def test_deletions_are_described_in_body_and_query() -> None:
    body = {"preconditions": {"uid": "u", "resourceVersion": "5"}, "gracePeriodSeconds": 0}
    options = delete_options(MultiDict({"gracePeriodSeconds": "9", "propagationPolicy": "Orphan"}), body)
    assert (options.uid, options.resource_version, options.grace_seconds) == ("u", "5", 0)
    assert options.propagation == "Orphan"
    assert delete_options(MultiDict({"gracePeriodSeconds": "9"}), None).grace_seconds == 9
    assert delete_options(MultiDict(), {"orphanDependents": True}).propagation == "Orphan"
    assert delete_options(MultiDict(), {"dryRun": ["All"]}).dry_run


def test_writes_are_described_in_the_query() -> None:
    options = write_options("POST", MultiDict({"dryRun": "All", "fieldValidation": "Strict"}), print)
    assert (options.dry_run, options.field_validation) == (True, "Strict")
    assert write_options("PUT", MultiDict(), print).field_validation == "Warn"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"watch": "maybe"}, 400),
        ({"limit": "x"}, 400),
        ({"resourceVersion": "x"}, 400),
        ({"continue": "abc", "resourceVersion": "5"}, 400),
        ({"resourceVersionMatch": "Roughly", "resourceVersion": "5"}, 422),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422),
        ({"sendInitialEvents": "true"}, 422),
        ({"watch": "1", "resourceVersionMatch": "NotOlderThan"}, 422),
    ],
)
def test_lists_that_make_no_sense(query: dict[str, str], code: int) -> None:
    with pytest.raises(StatusError) as caught:
        list_query(MultiDict(query))
    assert caught.value.code == code


def test_lists() -> None:
    asked = list_query(
        MultiDict(
            {"watch": "true", "allowWatchBookmarks": "1", "timeoutSeconds": "3", "resourceVersion": "0"}
        )
    )
    assert (asked.watch, asked.bookmarks, asked.timeout, asked.version) == (True, True, 3, 0)
    assert list_query(MultiDict()).version is None
