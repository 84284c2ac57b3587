from __future__ import annotations

import pytest

from dask_gpu_k8s.cluster.scheduler_pod import pick_scheduler
from dask_gpu_k8s.cluster.verdict import Patience, Verdict, judge, operator_has_seen


def cluster(**status):
    return {"metadata": {"name": "demo", "namespace": "default", "uid": "c1"}, "status": status}


def pod(name="demo-scheduler", owner="c1", created="2026-01-01T00:00:00Z", **status):
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "creationTimestamp": created,
            "ownerReferences": [{"uid": owner}],
        },
        "spec": {"nodeName": "node", "containers": [{"name": "scheduler"}]},
        "status": status,
    }


READY = {"conditions": [{"type": "Ready", "status": "True"}]}
PULLING = {
    "containerStatuses": [
        {"name": "scheduler", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
    ]
}


@pytest.mark.parametrize(
    ("status", "seen"), [({}, False), ({"phase": "Created"}, True), ({"observedGeneration": 1}, True)]
)
def test_whether_an_operator_has_seen_it(status, seen):
    assert operator_has_seen(cluster(**status)) is seen


def test_a_scheduler_that_is_ready():
    verdict = judge(cluster(), [pod(**READY)], [])
    assert verdict.ready
    assert not verdict.failing
    assert verdict.pod["metadata"]["name"] == "demo-scheduler"


def test_a_scheduler_that_starts():
    verdict = judge(cluster(), [pod()], [])
    assert not verdict.ready
    assert not verdict.failing


def test_a_scheduler_whose_image_cannot_be_pulled():
    verdict = judge(cluster(), [pod(**PULLING)], [])
    assert verdict.failing
    assert verdict.reason == "ImagePullBackOff"


def test_no_scheduler_yet():
    verdict = judge(cluster(phase="Created"), [], [])
    assert verdict.failing
    assert verdict.reason == "NoSchedulerPod"
    assert not verdict.hopeless


@pytest.mark.parametrize(("reason", "hopeless"), [("Invalid", True), ("Forbidden", False)])
def test_a_cluster_that_the_operator_does_not_accept(reason, hopeless):
    condition = {"type": "Accepted", "status": "False", "reason": reason, "message": "because"}
    verdict = judge(cluster(conditions=[condition]), [], [])
    assert (verdict.failing, verdict.hopeless, verdict.reason) == (True, hopeless, reason)
    assert verdict.message == "the operator says: because"


def test_the_scheduler_of_an_earlier_cluster_of_that_name_is_not_ours():
    assert pick_scheduler([pod(owner="c0", **READY)], "c1") is None


def test_a_scheduler_that_is_leaving_is_not_ours():
    leaving = pod(**READY)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    assert pick_scheduler([leaving], "c1") is None


def test_the_youngest_scheduler_is_ours():
    old, new = pod("old"), pod("new", created="2026-01-01T00:00:01Z")
    assert pick_scheduler([new, old], "c1") is new


FAILING = Verdict(ready=False, failing=True, reason="Unschedulable", message="")
PROGRESS = Verdict(ready=False, failing=False, reason="Pulling", message="")


def test_patience_ends_after_the_limit_without_progress():
    patience = Patience(60).after(FAILING, 100).after(FAILING, 130)
    assert not patience.is_over(159)
    assert patience.is_over(160)


def test_progress_gives_patience_anew():
    patience = Patience(60).after(FAILING, 100).after(PROGRESS, 150).after(FAILING, 155)
    assert not patience.is_over(214)
    assert patience.is_over(215)


def test_progress_may_take_for_ever():
    assert not Patience(60).after(PROGRESS, 0).is_over(1e9)
