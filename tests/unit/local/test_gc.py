"""Garbage collection: what is decided about one object, and the graph that it is decided by."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.local.machinery import gc
from dask_gpu_k8s.local.machinery.graph import Graph
from dask_gpu_k8s.local.machinery.store import Store


def obj(uid: str, owners: tuple[str, ...] = (), **meta: Any) -> dict:
    references = [{"uid": owner, "name": owner, "kind": "K", "apiVersion": "v1"} for owner in owners]
    own = {"ownerReferences": references} if owners else {}
    return {"metadata": {"name": uid, "uid": uid, **own, **meta}}


ALIVE = obj("alive")
WAITING = obj("waiting", deletionTimestamp="now", finalizers=[gc.FOREGROUND])
GOING = obj("going", deletionTimestamp="now", finalizers=["e.com/x"])
OWNERS = {"alive": ALIVE, "waiting": WAITING, "going": GOING}


@pytest.mark.parametrize(
    ("owners", "action", "propagation"),
    [
        ((), "keep", None),
        (("alive",), "keep", None),
        (("going",), "keep", None),
        (("lost",), "delete", "Background"),
        (("lost", "lost2"), "delete", "Background"),
        (("waiting",), "delete", "Foreground"),
        (("waiting", "lost"), "delete", "Foreground"),
    ],
)
def test_verdicts(owners: tuple[str, ...], action: str, propagation: str | None) -> None:
    verdict = gc.judge_dependent(obj("x", owners), lambda uid, namespace: OWNERS.get(uid))
    assert (verdict.action, verdict.propagation) == (action, propagation)


@pytest.mark.parametrize("other", ["lost", "waiting"])
def test_of_several_owners_the_lost_are_struck_out(other: str) -> None:
    verdict = gc.judge_dependent(obj("x", ("alive", other)), lambda uid, namespace: OWNERS.get(uid))
    assert verdict.action == "replace"
    assert verdict.new is not None
    assert [ref["uid"] for ref in verdict.new["metadata"]["ownerReferences"]] == ["alive"]


def test_what_is_being_deleted_is_left_alone() -> None:
    marked = obj("x", ("lost",), deletionTimestamp="now")
    assert gc.judge_dependent(marked, lambda uid, namespace: None) is gc.KEEP


def test_references_and_finalizers_are_taken_off_whole() -> None:
    assert gc.without_owner(obj("x", ("a",)), "a") == obj("x")
    assert gc.without_owner(obj("x", ("a", "b")), "a") == obj("x", ("b",))
    assert gc.without_finalizers(obj("x", finalizers=["a"]), ["a"]) == obj("x")
    assert gc.without_finalizers(obj("x", finalizers=["a", "b"]), ["a"]) == obj("x", finalizers=["b"])


def test_an_owner_is_in_the_namespace_or_cluster_wide() -> None:
    store = Store()
    graph = Graph(store, lambda uid: None)
    store.put(("", "a"), ("ns", "in"), obj("in", namespace="ns"))
    store.put(("", "b"), ("", "wide"), obj("wide"))
    assert graph.owner("in", "ns")
    assert graph.owner("in", "other") is None
    assert graph.owner("wide", "other")
    assert graph.owner("none", "ns") is None


def test_the_graph_says_what_to_look_at() -> None:
    store, touched = Store(), []
    graph = Graph(store, touched.append)
    store.put(("", "a"), ("ns", "owner"), obj("owner"))
    assert touched == []
    store.put(("", "a"), ("ns", "child"), obj("child", ("owner",)))
    assert touched == ["child"]
    assert [found["metadata"]["uid"] for found in graph.dependents("owner")] == ["child"]
    touched.clear()
    store.remove(("", "a"), ("ns", "owner"))
    assert touched == ["child"]
    touched.clear()
    store.remove(("", "a"), ("ns", "child"))
    assert graph.dependents("owner") == []
