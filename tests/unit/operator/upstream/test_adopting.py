"""Every case of a cluster on which dask-kubernetes' operator has left its marks."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.operator.engine.actions import Delete, Outcome, Patch, Plan
from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod
from dask_gpu_k8s.operator.objects.templates import mark_of
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from dask_gpu_k8s.operator.upstream import jobs
from dask_gpu_k8s.operator.upstream.marks import (
    FINALIZER,
    is_foreign,
    is_marked,
    is_new,
    is_to_be_adopted,
    time_left_to_it,
)
from dask_gpu_k8s.operator.upstream.observe import Observed
from dask_gpu_k8s.operator.upstream.plan import conclude, plan
from tests.unit.operator.builders import NOW, OLD, a_cluster, a_job, ago
from tests.unit.operator.upstream.builders import (
    a_deployment,
    a_free_pod,
    a_marked_cluster,
    a_marked_group,
    a_replicaset,
    an_accepted_cluster,
    an_autoscaler,
    marked,
)

SCHEDULER, WORKER = labels.SCHEDULER, labels.WORKER


def deployments(**state: Any) -> list[dict[str, Any]]:
    named = (("foo-scheduler", SCHEDULER), ("foo-default-worker-1", WORKER), ("foo-default-worker-2", WORKER))
    return [a_deployment(name, component, **state) for name, component in named]


def said(made: Plan) -> list[list[str]]:
    return [[str(action) for action in stage] for stage in made.stages]


def condition_of(made: Plan, type_: str) -> dict[str, Any]:
    (action,) = made.actions
    assert isinstance(action, Patch)
    assert action.patch["metadata"] == {"resourceVersion": "7"}
    found = find(action.patch["status"]["conditions"], type_)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("obj", "foreign"),
    [
        (a_cluster(), False),
        (a_marked_cluster(), True),
        (marked(a_cluster()), True),
        (an_accepted_cluster(), False),
        (a_marked_cluster(conditions=[{"type": "Accepted", "status": "False"}]), True),
    ],
    ids=["ours", "theirs", "theirs by annotation", "ours first", "refused before"],
)
def test_whose_a_cluster_is(obj, foreign):
    assert is_foreign(obj) == foreign


def test_a_cluster_of_the_other_operator_is_left_alone_and_says_so():
    seen = Observed(a_marked_cluster())
    made = plan(seen, NOW)
    found = condition_of(made, "Accepted")
    assert (found["status"], found["reason"]) == ("False", "OtherOperator")
    assert found["message"] == (
        "dask-kubernetes' operator looks after this DaskCluster, so it is left alone. To take it over, stop "
        "that operator, then: kubectl annotate daskcluster foo kubernetes.dask.org/adopt=true"
    )
    concluded = conclude(seen, made, [Outcome(made.actions[0], "done")], NOW)
    assert concluded is not None
    assert [note.reason for note in concluded.notes] == ["OtherOperator"]
    again = Observed(a_marked_cluster(conditions=[found]))
    assert plan(again, NOW) == Plan(), "told once"


def test_a_cluster_that_was_ours_first_stays_ours_with_a_warning():
    found = condition_of(plan(Observed(an_accepted_cluster()), NOW), "OtherOperator")
    assert found["status"] == "True"
    assert "acts on this DaskCluster as well" in found["message"]


def test_an_operator_that_may_not_do_it_says_so():
    seen = Observed(a_marked_cluster(), True, "deployments.apps is forbidden")
    made = plan(seen, NOW)
    assert condition_of(made, "Accepted")["message"].endswith(": deployments.apps is forbidden")
    assert made.wake_after == 30


def test_deployments_are_paused_first():
    """Those of a group have one selector: of two that run, one takes over the other's Pods and ends them."""
    made = plan(Observed(a_marked_cluster(), True, deployments=deployments()), NOW)
    assert [action.patch["spec"] for action in made.actions if isinstance(action, Patch)] == [
        {"paused": True}
    ] * 3
    assert made.wake_after == 0.5


def test_it_waits_until_their_controller_knows():
    seen = Observed(a_marked_cluster(), True, deployments=deployments(paused=True, observed=0))
    assert plan(seen, NOW) == Plan((), 0.5)


def test_then_replicasets_and_deployments_go_and_pods_stay():
    above = deployments(paused=True)
    below = [a_replicaset(each) for each in above]
    for seen, kind in (
        (Observed(a_marked_cluster(), True, deployments=above, replicasets=below), "replicaset"),
        (Observed(a_marked_cluster(), True, deployments=above), "deployment"),
    ):
        made = plan(seen, NOW)
        deletes = [action for action in made.actions if isinstance(action, Delete)]
        assert {each.resource.singular for each in deletes} == {kind}
        assert [each.propagation for each in deletes] == ["Orphan"] * 3
        assert made.wake_after == 0.5


def test_pods_become_ours_and_the_marks_go_last_from_the_cluster():
    pods = [a_free_pod("foo-scheduler-7f-x", SCHEDULER), a_free_pod("foo-default-worker-1-7f-y", WORKER)]
    seen = Observed(
        a_marked_cluster(),
        True,
        pods=pods,
        groups=[a_marked_group()],
        autoscalers=[an_autoscaler()],
        job=marked(a_job()),
    )
    made = plan(seen, NOW)
    assert said(made) == [
        ["patch pod foo-scheduler-7f-x", "patch pod foo-default-worker-1-7f-y"],
        ["patch daskworkergroup foo-default", "patch daskautoscaler foo", "patch daskjob foo"],
        ["patch daskcluster foo"],
    ]
    patches = [action.patch["metadata"] for action in made.actions if isinstance(action, Patch)]
    scheduler, worker = patches[:2]
    assert [each["uid"] for each in scheduler["ownerReferences"]] == ["u-cluster"]
    assert [each["uid"] for each in worker["ownerReferences"]] == ["u-group"]
    assert scheduler["labels"] == {"pod-template-hash": None}
    cluster, group = seen.cluster, seen.groups[0]
    assert scheduler["annotations"][labels.TEMPLATE] == mark_of(make_scheduler_pod(cluster))
    assert worker["annotations"][labels.TEMPLATE] == mark_of(make_worker_pod(cluster, group, 5))
    handled = {"kopf.zalando.org/last-handled-configuration": None}
    assert patches[-1] == {"resourceVersion": "7", "annotations": handled, "finalizers": []}
    assert patches[2] == {"resourceVersion": "7", "annotations": handled}

    concluded = conclude(seen, made, [Outcome(action, "done") for action in made.actions], NOW)
    assert concluded is not None
    assert [note.reason for note in concluded.notes] == ["Adopted"]


def test_other_finalizers_stay():
    cluster = a_marked_cluster()
    cluster["metadata"]["finalizers"] = ["example.org/hold", FINALIZER]
    (patch,) = plan(Observed(cluster, True), NOW).actions
    assert isinstance(patch, Patch)
    assert patch.patch["metadata"]["finalizers"] == ["example.org/hold"]


def test_strays_beside_a_cluster_of_ours_go_with_their_pods():
    made = plan(Observed(an_accepted_cluster(), True, deployments=deployments()), NOW)
    assert [each.propagation for each in made.actions if isinstance(each, Delete)] == ["Background"] * 3


def test_a_deleted_cluster_that_waits_for_the_other_operator_is_let_go():
    cluster = a_marked_cluster()
    cluster["metadata"]["deletionTimestamp"] = OLD
    assert said(plan(Observed(cluster, True), NOW)) == [["patch daskcluster foo"]]


def test_the_wish_is_an_annotation_that_says_true():
    cluster = a_marked_cluster()
    assert not is_to_be_adopted(cluster)
    for value, wanted in (("true", True), ("false", False)):
        cluster["metadata"]["annotations"][labels.ADOPT] = value
        assert is_to_be_adopted(cluster) == wanted


def test_a_new_cluster_is_left_to_the_other_operator_for_a_while():
    cluster = a_cluster()
    cluster["metadata"]["creationTimestamp"] = ago(2)
    assert is_new(cluster)
    assert not is_new(a_cluster(phase="Created"))
    assert time_left_to_it(cluster, NOW) == 3
    cluster["metadata"]["creationTimestamp"] = ago(9)
    assert time_left_to_it(cluster, NOW) == 0


def test_a_job_of_the_other_operator():
    job = marked(a_job(jobStatus="Running"))
    found = condition_of(jobs.plan(jobs.Observed(job, False), NOW), "Accepted")
    assert (found["status"], found["reason"]) == ("False", "OtherOperator")
    assert "kubectl annotate daskjob foo kubernetes.dask.org/adopt=true" in found["message"]
    (strip,) = jobs.plan(jobs.Observed(job, True), NOW).actions
    assert isinstance(strip, Patch)
    assert strip.patch["metadata"].keys() == {"resourceVersion", "annotations"}, (
        "labels and spec are not ours"
    )
    assert is_marked(job)
