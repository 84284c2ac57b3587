from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dask_gpu_k8s.kube.store import Store, object_key


def make(name, version="1", *, namespace="a", uid="u", owners=(), labels=None):
    metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": version}
    if owners:
        metadata["ownerReferences"] = [{"uid": owner} for owner in owners]
    if labels:
        metadata["labels"] = labels
    return {"metadata": metadata}


def test_put_tells_what_changed():
    store = Store()
    first, second = make("x", "1"), make("x", "2")
    assert store.put(first) == (None, first)
    assert store.put(make("x", "1")) is None
    assert store.put(second) == (first, second)
    assert store.get("a", "x") == second
    assert store.remove(("a", "x")) == (second, None)
    assert store.remove(("a", "x")) is None
    assert len(store) == 0


def test_retain_drops_and_reports_what_is_not_wanted():
    store = Store()
    stays, goes = make("stays"), make("goes")
    store.put(stays)
    store.put(goes)
    assert store.retain({("a", "stays"), ("a", "never there")}) == [(goes, None)]
    assert store.list() == [stays]


def test_an_object_made_again_under_its_name_is_a_change():
    store = Store()
    store.put(make("x", "1", uid="first"))
    assert store.put(make("x", "1", uid="second")) is not None


def test_namespaces_are_kept_apart():
    store = Store()
    here, there = make("x", labels={"k": "v"}), make("x", namespace="b", labels={"k": "v"})
    store.put(here)
    store.put(there)
    assert store.list("b") == [there]
    assert store.by_label("k", "v") == [here, there]
    assert store.by_label("k", "v", "a") == [here]
    assert store.by_label("k", "other") == []
    assert list(store) == [here, there]


def test_the_frozen_store_hands_out_what_cannot_be_changed(monkeypatch):
    monkeypatch.setattr(Store, "frozen", True)
    store = Store()
    store.put(make("x"))
    with pytest.raises(TypeError):
        store.get("a", "x")["metadata"]["name"] = "y"


names = st.sampled_from("xyz")
spaces = st.sampled_from("ab")
some_owners = st.lists(st.sampled_from("123"), unique=True)
some_labels = st.dictionaries(st.sampled_from("kl"), st.sampled_from("vw"))


class StoreMachine(RuleBasedStateMachine):
    """The store against a plain dict that is searched."""

    def __init__(self):
        super().__init__()
        self.store = Store()
        self.model = {}
        self.version = 0

    def new(self, name, namespace, owners, labels):
        self.version += 1
        return make(name, str(self.version), namespace=namespace, owners=owners, labels=labels)

    @rule(name=names, namespace=spaces, owners=some_owners, labels=some_labels)
    def put(self, name, namespace, owners, labels):
        obj = self.new(name, namespace, owners, labels)
        self.store.put(obj)
        self.model[object_key(obj)] = obj

    @rule(name=names, namespace=spaces)
    def remove(self, name, namespace):
        self.store.remove((namespace, name))
        self.model.pop((namespace, name), None)

    @rule(wanted=st.sets(st.tuples(spaces, names)))
    def retain(self, wanted):
        self.store.retain(wanted)
        self.model = {key: obj for key, obj in self.model.items() if key in wanted}

    @invariant()
    def agrees_with_the_model(self):
        def keys(objects):
            return sorted(object_key(obj) for obj in objects)

        assert keys(self.store.list()) == sorted(self.model)
        for owner in "123":
            owned = [
                obj
                for obj in self.model.values()
                if {"uid": owner} in obj["metadata"].get("ownerReferences", [])
            ]
            assert keys(self.store.by_owner(owner)) == keys(owned)
        for key, value in (("k", "v"), ("l", "w")):
            labelled = [
                obj for obj in self.model.values() if obj["metadata"].get("labels", {}).get(key) == value
            ]
            assert keys(self.store.by_label(key, value)) == keys(labelled)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=30, stateful_step_count=20)
