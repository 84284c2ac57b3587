"""The group is left alone until the cache has shown what we did."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.operator.engine.expectations import Expectation, Expectations
from dask_gpu_k8s.operator.engine.facts import Key
from tests.unit.operator.builders import a_worker, name_of

KEY = Key("DaskWorkerGroup", "ns", "foo-default")


def expecting(change: str) -> Expectations:
    expectations = Expectations(timeout=10)
    expectations.expect(KEY, Expectation(change, "ns", name_of(0)), now=100)
    return expectations


@pytest.mark.parametrize(
    ("change", "old", "new", "is_open"),
    [
        ("create", None, a_worker(0), False),
        ("create", None, a_worker(1), True),
        ("create", a_worker(0), None, False),  # made and gone again meanwhile
        ("delete", None, a_worker(0), True),
        ("delete", a_worker(0), a_worker(0, deleted=True), False),
        ("delete", a_worker(0), None, False),
        ("mark", a_worker(0), a_worker(0, state="Failed"), True),
        ("mark", a_worker(0), a_worker(0, marked="x"), False),
        ("mark", a_worker(0), a_worker(0, deleted=True), False),
        ("mark", a_worker(0), None, False),
    ],
)
def test_what_the_cache_shows(change, old, new, is_open):
    expectations = expecting(change)
    expectations.shown(old, new)
    assert expectations.is_open(KEY) is is_open


def test_a_refused_change_is_not_waited_for():
    expectations = expecting("create")
    expectations.drop(Expectation("create", "ns", name_of(0)))
    assert not expectations.is_open(KEY)


def test_it_is_overdue_after_a_while():
    expectations = expecting("create")
    assert not expectations.is_overdue(KEY, 109)
    assert expectations.is_overdue(KEY, 110)
    assert not expectations.is_overdue(Key("DaskWorkerGroup", "ns", "other"), 999)


def test_what_is_in_doubt_is_asked_about_at_once():
    expectations = expecting("create")
    expectations.doubt(Expectation("create", "ns", name_of(0)))
    assert expectations.is_overdue(KEY, 100)
    expectations.doubt(Expectation("create", "ns", name_of(5)))


@pytest.mark.parametrize(
    ("change", "live", "is_open"),
    [
        ("create", [a_worker(0)], True),  # it took effect: the cache will show it
        ("create", [], False),  # it never did
        ("delete", [], True),
        ("delete", [a_worker(0, deleted=True)], True),
        ("delete", [a_worker(0)], False),
        ("mark", [a_worker(0, marked="x")], True),
        ("mark", [a_worker(0)], False),
    ],
)
def test_one_look_at_the_api_server_settles_it(change, live, is_open):
    expectations = expecting(change)
    expectations.settle(KEY, live, now=110)
    assert expectations.is_open(KEY) is is_open
    assert not expectations.is_overdue(KEY, 119)


def test_the_cache_is_trusted_until_a_pod_vanishes_that_nobody_deleted():
    expectations = Expectations(10)
    group = Key("DaskWorkerGroup", "ns", "foo-default")
    assert not expectations.is_trusted(group)
    expectations.shown(a_worker(0), None)
    assert expectations.has_vanished(group)
    expectations.trust(group)
    assert expectations.is_trusted(group)
    assert not expectations.has_vanished(group)


def test_of_a_group_that_is_gone_nothing_is_kept():
    expectations = Expectations(10)
    group = Key("DaskWorkerGroup", "ns", "foo-default")
    expectations.trust(group)
    expectations.forget(group)
    assert not expectations.is_trusted(group)
    expectations.shown(a_worker(0), None)
    expectations.forget(group)
    assert not expectations.has_vanished(group)


def test_the_cache_stays_trusted_when_a_pod_was_seen_to_be_deleted():
    group = Key("DaskWorkerGroup", "ns", "foo-default")
    expectations = Expectations(10)
    expectations.trust(group)
    expectations.shown(a_worker(0, deleted=True), None)
    expectations.expect(group, Expectation("delete", "ns", name_of(1)), 100)
    expectations.shown(a_worker(1), None)
    assert not expectations.has_vanished(group)
