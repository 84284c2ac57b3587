"""Label and field selectors."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.local.machinery import selectors
from dask_gpu_k8s.local.machinery.selectors import BadSelector, field_value, parse_fields, parse_labels

LABELS = {"app": "web", "tier": "front", "example.com/size": "10", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        (" ", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=other", False),
        ("app!=other", True),
        ("missing!=other", True),
        ("app in (web, api)", True),
        ("app in (api)", False),
        ("missing in (a)", False),
        ("app notin (web)", False),
        ("missing notin (web)", True),
        ("tier", True),
        ("missing", False),
        ("!missing", True),
        ("!tier", False),
        ("empty=", True),
        ("example.com/size=10", True),
        ("example.com/size>9", True),
        ("example.com/size<9", False),
        ("app>9", False),
        ("app=web,tier in (front,back),!missing", True),
        ("app=web,tier in (back)", False),
    ],
)
def test_label_selectors(text: str, matches: bool) -> None:
    assert parse_labels(text)(LABELS) is matches


@pytest.mark.parametrize("text", ["a b", "a in", "a in b", "=b", "a=b=c", "a,,b", "a in (b", "a=b c"])
def test_what_is_no_label_selector(text: str) -> None:
    with pytest.raises(BadSelector):
        parse_labels(text)


def test_field_selectors_are_cut_at_plain_commas() -> None:
    assert parse_fields("") == []
    assert parse_fields(r"a=b,c!=d\,e,f==g\=h") == [
        ("a", "b", True),
        ("c", "d,e", False),
        ("f", "g=h", True),
    ]
    with pytest.raises(BadSelector):
        parse_fields("nonsense")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.nodeName", "n"),
        ("spec.hostNetwork", "true"),
        ("spec.none", ""),
        ("spec.count", "3"),
        ("a.b.c", ""),
    ],
)
def test_fields_are_read_as_text(path: str, value: str) -> None:
    assert field_value({"spec": {"nodeName": "n", "hostNetwork": True, "count": 3}}, path) == value


def test_both_together() -> None:
    obj = {"metadata": {"name": "a", "labels": {"x": "y"}}}
    known = {"metadata.name": "metadata.name"}
    assert selectors.test_for("", "", known) is None
    test = selectors.test_for("x=y", "metadata.name=a", known)
    assert test is not None
    assert test(obj)
    assert not test({"metadata": {"name": "a"}})
    with pytest.raises(BadSelector, match=r"field label not supported: spec\.x"):
        selectors.test_for("", "spec.x=1", known)
