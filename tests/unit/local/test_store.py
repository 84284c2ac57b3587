"""The store: versions, snapshots of the past, the window; against a model."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.local.machinery.store import FIRST_VERSION, Change, Store, TooOld

TABLE = ("", "things")


def thing(name: str, value: int = 0) -> dict:
    return {"metadata": {"name": name}, "value": value}


def test_every_change_has_a_version_of_its_own() -> None:
    store = Store()
    first = store.put(TABLE, ("ns", "a"), thing("a"))
    second = store.put(("", "others"), ("ns", "a"), thing("a"))
    third = store.remove(TABLE, ("ns", "a"))
    versions = [int(entry.obj["metadata"]["resourceVersion"]) for entry in (first, second, third)]
    assert versions == [FIRST_VERSION + 1, FIRST_VERSION + 2, FIRST_VERSION + 3]
    assert store.version == versions[-1]


def test_objects_are_replaced_not_changed() -> None:
    store = Store()
    sent = thing("a", 1)
    before = copy.deepcopy(sent)
    old = store.put(TABLE, ("ns", "a"), sent)
    store.put(TABLE, ("ns", "a"), thing("a", 2))
    assert sent == before
    assert old.obj["value"] == 1
    assert old.json is old.json


def test_listeners_see_each_change_after_it_happened() -> None:
    store = Store()
    seen: list[Change] = []
    stop = store.listen(lambda table, change: seen.append(change))
    store.put(TABLE, ("ns", "a"), thing("a", 1))
    store.put(TABLE, ("ns", "a"), thing("a", 2))
    store.remove(TABLE, ("ns", "a"), thing("a", 3))
    stop()
    store.put(TABLE, ("ns", "b"), thing("b"))
    assert [change.type for change in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert [change.new.obj["value"] for change in seen] == [1, 2, 3]
    assert [change.old and change.old.obj["value"] for change in seen] == [None, 1, 2]


def test_lists_are_ordered_and_by_namespace() -> None:
    store = Store()
    for key in [("b", "x"), ("a", "z"), ("a", "y")]:
        store.put(TABLE, key, thing(key[1]))
    assert [key for key, _ in store.entries(TABLE)] == [("a", "y"), ("a", "z"), ("b", "x")]
    assert [key for key, _ in store.entries(TABLE, "b")] == [("b", "x")]
    assert store.entries(("", "nothing")) == []


def test_what_is_forgotten_is_too_old() -> None:
    store = Store(window=2)
    store.put(TABLE, ("ns", "a"), thing("a"))
    version = store.version
    store.put(TABLE, ("ns", "b"), thing("b"))
    store.put(TABLE, ("ns", "c"), thing("c"))
    assert len(store.changes_since(TABLE, version)) == 2
    store.put(TABLE, ("ns", "d"), thing("d"))
    with pytest.raises(TooOld):
        store.changes_since(TABLE, version)
    with pytest.raises(TooOld):
        store.entries_at(TABLE, version)
    with pytest.raises(TooOld):
        store.changes_since(("", "nothing"), 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_the_past_is_as_it_was(steps: list[tuple[str, bool]]) -> None:
    store = Store()
    history = {store.version: store.entries(TABLE)}
    for number, (name, put) in enumerate(steps):
        key = ("ns", name)
        if put:
            store.put(TABLE, key, thing(name, number))
        elif store.get(TABLE, key):
            store.remove(TABLE, key)
        history[store.version] = store.entries(TABLE)
    for version, rows in history.items():
        assert store.entries_at(TABLE, version) == rows
