"""Every case of what is left of a deleted owner."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.resources import DASKWORKERGROUP, POD, SERVICE, Resource
from dask_gpu_k8s.operator.dependents.observe import DELETED, Observed
from dask_gpu_k8s.operator.dependents.plan import plan
from dask_gpu_k8s.operator.engine.actions import Delete
from tests.unit.operator.builders import NOW, OLD, a_cluster, a_group, a_worker, ago, parts_of

WORKERS: list[tuple[Resource, dict[str, Any]]] = [(POD, a_worker(0)), (POD, a_worker(1))]


def changed(obj: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


def deletes(seen: Observed) -> list[Delete]:
    return [action for action in plan(seen, NOW).actions if isinstance(action, Delete)]


def a_deleted_group(*finalizers: str) -> dict[str, Any]:
    return changed(a_group(), deletionTimestamp=OLD, finalizers=list(finalizers))


def parts() -> list[tuple[Resource, dict[str, Any]]]:
    found = parts_of(a_cluster())
    return [(POD, found["scheduler"]), (SERVICE, found["service"]), (DASKWORKERGROUP, found["default_group"])]


def test_all_that_a_cluster_owned_goes_at_once_and_only_as_it_was_seen():
    found = deletes(Observed("u-cluster", None, parts()))
    assert [(each.name, each.uid, each.resource_version) for each in found] == [
        ("foo-scheduler", "u-scheduler", "7"),
        ("foo-scheduler", "u-service", "7"),
        ("foo-default", "u-group", "7"),
    ]
    assert [each.grace_seconds for each in found] == [2, None, None]
    assert [each.propagation for each in found] == [None, None, None]


def test_workers_whose_cluster_is_gone_end_soon():
    assert [each.grace_seconds for each in deletes(Observed("u-group", None, WORKERS))] == [2, 2]


def test_the_grace_that_a_user_gave_is_kept():
    pod = a_worker(0)
    pod["spec"] = {**pod["spec"], "terminationGracePeriodSeconds": 60}
    assert [each.grace_seconds for each in deletes(Observed("u-group", None, [(POD, pod)]))] == [None]


@pytest.mark.parametrize(("created", "grace"), [(ago(7200), None), (ago(10), 2)])
def test_workers_of_a_deleted_group_hand_over_their_results_if_the_cluster_lives(created, grace):
    """Not so if it is another cluster, made under the same name since."""
    cluster = changed(a_cluster(), creationTimestamp=created)
    seen = Observed("u-group", None, WORKERS, cluster=cluster)
    assert [each.grace_seconds for each in deletes(seen)] == [grace, grace]


def test_an_owner_that_is_there_keeps_its_own():
    """The cache may be older than the API server's answer."""
    assert plan(Observed("u-group", a_group(), WORKERS), NOW).actions == ()


def test_orphans_are_left_alone():
    assert plan(Observed("u-group", a_deleted_group("orphan"), WORKERS), NOW).actions == ()


@pytest.mark.parametrize("finalizer", ["foregroundDeletion", "example.org/hold"])
def test_an_owner_that_is_only_held_up_keeps_nothing(finalizer):
    assert len(deletes(Observed("u-group", a_deleted_group(finalizer), WORKERS))) == 2


def test_deletion_in_the_foreground_goes_on_below():
    owner = changed(a_cluster(), deletionTimestamp=OLD, finalizers=["foregroundDeletion"])
    found = deletes(Observed("u-cluster", owner, parts()))
    assert [each.propagation for each in found] == [None, "Foreground", "Foreground"]


def test_workers_go_right_after_their_group():
    made = plan(Observed("u-cluster", None, parts(), [a_worker(0)]), NOW)
    first, second = made.stages
    assert str(first[-1]) == "delete daskworkergroup foo-default"
    assert [(str(each)[:10], each.grace_seconds) for each in second if isinstance(each, Delete)] == [
        ("delete pod", 2)
    ]


def test_what_has_another_owner_too_is_left_to_the_collector():
    group = parts_of(a_cluster())["default_group"]
    owners = [*group["metadata"]["ownerReferences"], {"kind": "Other", "name": "o", "uid": "u-other"}]
    seen = Observed("u-cluster", None, [(DASKWORKERGROUP, changed(group, ownerReferences=owners))])
    assert plan(seen, NOW).actions == ()


@pytest.mark.parametrize(("left", "again"), [(20, 1), (2, 0), (0, 0)])
def test_what_goes_already_is_only_told_to_hurry(left, again):
    pod = changed(a_worker(0, deleted=True), deletionGracePeriodSeconds=left)
    assert len(deletes(Observed("u-group", None, [(POD, pod)]))) == again


def test_reana_autoscalers_are_left_to_the_collector():
    """REANA deletes the cluster, then the autoscaler, and takes a 404 there for an error."""
    assert "DaskAutoscaler" not in {resource.kind for resource in DELETED}
