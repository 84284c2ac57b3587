"""Row 21: edits of a cluster reach what was made of it; edits of the parts stay until the next one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dask_gpu_k8s.api.merge import merge_patch
from dask_gpu_k8s.operator.daskcluster.status import conclude
from dask_gpu_k8s.operator.engine.actions import Outcome, Patch, Plan
from tests.unit.operator.builders import NOW, a_cluster, parts_of
from tests.unit.operator.daskcluster.views import Life, brief, thawed, whole


def group_of(cluster: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(parts_of(cluster)["default_group"])


def image(text: str) -> dict[str, Any]:
    return {"worker": {"spec": {"containers": [{"name": "worker", "image": text}]}}}


def applied(obj: dict[str, Any], patch: Any) -> dict[str, Any]:
    assert isinstance(patch, Patch)
    assert patch.name == obj["metadata"]["name"]
    changed: dict[str, Any] = merge_patch(obj, thawed(patch.patch))
    return changed


def test_row_21_an_edited_worker_template_reaches_the_default_group_whole():
    life = Life()
    life.cluster["spec"]["worker"]["spec"]["nodeSelector"] = {"pool": "a"}
    life.cluster["spec"]["worker"]["metadata"] = {"labels": {"old": "1", "kept": "1"}}
    group = group_of(life.cluster)
    assert life.sees(default_group=group) == []
    life.edit(**image("new"))
    life.cluster["spec"]["worker"]["spec"].pop("nodeSelector")
    life.cluster["spec"]["worker"]["metadata"] = {"labels": {"kept": "2"}}
    (patch,) = life.sees(default_group=group)
    group = applied(group, patch)
    wanted = group_of(life.cluster)
    assert group["spec"] == wanted["spec"], "also what was taken out of the template is gone"
    assert group["metadata"]["labels"] == wanted["metadata"]["labels"]
    assert life.sees(default_group=group) == []


def test_row_21_an_edit_of_the_group_stays_until_the_next_of_the_cluster():
    life = Life()
    group = group_of(life.cluster)
    group["spec"]["worker"]["spec"]["containers"][0]["image"] = "the group's own"
    group["spec"]["worker"]["replicas"] = 7
    for _ in range(2):
        assert life.sees(default_group=group) == []
    life.edit(idleTimeout=9)
    assert life.sees(default_group=group) == []
    life.edit(**image("the cluster's"))
    (patch,) = life.sees(default_group=group)
    group = applied(group, patch)
    assert group["spec"]["worker"]["spec"]["containers"][0]["image"] == "the cluster's"
    assert group["spec"]["worker"]["replicas"] == 7, "the cluster's replicas were not edited"


def test_replicas_and_template_go_in_one_patch():
    life = Life()
    group = group_of(life.cluster)
    life.edit(**image("new"))
    life.edit(worker={"replicas": 5})
    _, patch = life.sees(default_group=group)
    assert applied(group, patch)["spec"] == group_of(life.cluster)["spec"]


def test_a_group_from_before_there_were_marks_is_marked_and_not_changed():
    life = Life()
    group = group_of(life.cluster)
    del group["metadata"]["annotations"]
    group["spec"]["worker"]["spec"]["containers"][0]["image"] = "unknown"
    (patch,) = life.sees(default_group=group)
    marked = applied(group, patch)
    assert marked["spec"] == group["spec"]
    assert life.sees(default_group=marked) == []


SCHEDULER = {"scheduler": {"spec": {"containers": [{"name": "scheduler", "image": "new"}]}}}


@pytest.mark.parametrize("strategy", [None, {"type": "Rolling"}, {"type": "None"}])
def test_row_21_a_running_scheduler_stays_and_the_condition_says_what_to_do(strategy):
    life = Life()
    if strategy:
        life.edit(updateStrategy=strategy)
    pod = life.pod()
    life.sees(scheduler=pod)
    assert life.holds("UpToDate") == ("True", "UpToDate")
    life.edit(**SCHEDULER)
    assert life.sees(scheduler=pod) == []
    assert life.phase == "Running"
    assert life.holds("UpToDate") == ("False", "SchedulerOutdated")
    assert "kubectl delete pod foo-scheduler" in life.condition("UpToDate")["message"]
    assert life.told.count("SchedulerOutdated") == 1
    life.sees(scheduler=life.pod("u-second"))
    assert life.holds("UpToDate") == ("True", "UpToDate")


def test_row_21_recreate_replaces_the_scheduler_and_that_is_no_loss():
    life = Life(lossPolicy="Fail")
    life.edit(updateStrategy={"type": "Recreate"})
    pod = life.pod()
    life.sees(scheduler=pod)
    life.edit(**SCHEDULER)
    forget, delete = life.sees(scheduler=pod)
    assert brief(forget) == "patch foo {'status': {'schedulerPod': None}}"
    assert brief(delete) == "delete foo-scheduler"
    going = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-01-31T12:00:30Z"}}
    assert life.sees(scheduler=going) == []
    assert [brief(each) for each in life.sees(scheduler=None)] == ["create pod foo-scheduler"]
    life.sees(scheduler=life.pod("u-second"))
    assert (life.phase, life.restarts) == ("Running", 0)
    assert "SchedulerLost" not in life.told
    assert "SchedulerReplaced" in life.told


@pytest.mark.parametrize(("strategy", "replaced"), [("Rolling", True), ("Recreate", True), ("None", False)])
def test_row_21_a_scheduler_that_was_never_ready_is_mended(strategy, replaced):
    life = Life()
    life.edit(updateStrategy={"type": strategy})
    pod = life.pod(ready=False)
    life.sees(scheduler=pod)
    life.edit(**SCHEDULER)
    assert ("delete foo-scheduler" in [brief(each) for each in life.sees(scheduler=pod)]) == replaced


def test_one_that_was_ready_once_is_not_taken_for_a_broken_one():
    life = Life()
    life.sees()
    pod = life.pod(ready=False)
    life.edit(**SCHEDULER)
    assert life.sees(scheduler=pod) == []


def test_row_21_an_edited_service_is_applied_to_the_one_that_there_is():
    life = Life(service={"type": "LoadBalancer", "ports": [], "loadBalancerSourceRanges": ["10.0.0.0/8"]})
    before = parts_of(life.cluster)
    service = copy.deepcopy(before["service"])
    service["spec"].update(clusterIP="10.0.0.9", allocateLoadBalancerNodePorts=True)
    assert life.sees(service=service, cluster_ip_service=before["cluster_ip_service"]) == []
    ports = [{"name": "tcp-comm", "port": 9000}]
    life.edit(scheduler={"service": {"type": "NodePort", "ports": ports, "loadBalancerSourceRanges": None}})
    first, second = life.sees(service=service, cluster_ip_service=before["cluster_ip_service"])
    changed = applied(service, first)
    assert changed["spec"] == {
        "type": "NodePort",
        "ports": ports,
        "selector": before["service"]["spec"]["selector"],
        "clusterIP": "10.0.0.9",
        "publishNotReadyAddresses": True,
    }
    inside = applied(before["cluster_ip_service"], second)
    assert (inside["spec"]["type"], inside["spec"]["ports"]) == ("ClusterIP", ports)
    assert life.sees(service=changed, cluster_ip_service=inside) == []


def test_an_edit_of_the_service_itself_is_not_undone():
    life = Life()
    service = copy.deepcopy(parts_of(life.cluster)["service"])
    service["spec"]["sessionAffinity"] = "ClientIP"
    assert life.sees(service=service) == []


def test_a_service_edit_that_cannot_be_is_said_and_not_tried_again():
    life = Life()
    service = parts_of(life.cluster)["service"]
    life.sees(service=service)
    life.edit(scheduler={"service": {"clusterIP": "None"}})
    seen = whole(copy.deepcopy(life.cluster), service=service)
    patch = Patch(*_service_patch(life, service))
    refused = Outcome(patch, "refused", "Invalid", "spec.clusterIPs[0]: may not change once set.")
    status = conclude(seen, Plan(), [refused], NOW).status
    life.cluster["status"] = merge_patch(life.cluster["status"], status)
    assert life.holds("UpToDate") == ("False", "ServiceRefused")
    assert life.phase == "Running"
    assert life.sees(service=service) == []
    assert life.holds("UpToDate") == ("False", "ServiceRefused")
    life.edit(scheduler={"service": {"clusterIP": "10.0.0.1"}})
    assert [brief(each).split()[1] for each in life.sees(service=service)] == ["foo-scheduler"]


def _service_patch(life: Life, service: dict[str, Any]) -> tuple[Any, ...]:
    from dask_gpu_k8s.api.resources import SERVICE

    return SERVICE, "ns", service["metadata"]["name"], {"spec": {"clusterIP": "None"}}


def test_nothing_is_planned_for_a_fresh_cluster_of_each_kind_twice():
    """A settled cluster stays settled, whatever is in its template."""
    for replicas in (0, 3):
        cluster = a_cluster(replicas, defaultGroupReplicas=replicas)
        life = Life()
        life.cluster = cluster
        assert life.sees() == []
        assert life.sees() == []
