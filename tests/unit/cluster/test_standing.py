from __future__ import annotations

from dask_gpu_k8s.cluster.standing import Standing, of_group, of_scheduler, sentence, to_html
from dask_gpu_k8s.cluster.verdict import Verdict

WHY = "1 of 3 ready; 2: fits on no node: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def group(name="demo-default", generation=2, replicas=3, **status):
    return {
        "metadata": {"name": name, "generation": generation},
        "spec": {"cluster": "demo", "worker": {"replicas": replicas}},
        "status": status,
    }


def ready(status, reason="Unschedulable", message=WHY):
    return [{"type": "Ready", "status": status, "reason": reason, "message": message}]


def test_a_group_stands_as_the_operator_says():
    status = {"observedGeneration": 2, "desiredReplicas": 3, "readyReplicas": 1, "unschedulableReplicas": 2}
    standing = of_group(group(**status, conditions=ready("False")))
    assert standing == Standing("default", 3, 1, 2, "Unschedulable", WHY)
    assert standing.is_trouble
    assert standing.cells == ("default", "3", "1", "2 (2 unschedulable)", WHY)


def test_what_was_said_of_another_number_of_workers_is_not_said_of_this_one():
    old = group(observedGeneration=1, desiredReplicas=2, readyReplicas=1, conditions=ready("False"))
    assert of_group(old) == Standing("default", 3, 1)


def test_all_is_well():
    status = {"observedGeneration": 2, "desiredReplicas": 3, "readyReplicas": 3}
    standing = of_group(group("demo-big", **status, conditions=ready("True", "WorkersReady", "3 of 3")))
    assert standing == Standing("big", 3, 3)
    assert sentence([standing]) == ""


def test_on_its_way_is_no_trouble():
    assert not Standing("default", 1, 0, 0, "Pulling", "0 of 1 ready; 1: …").is_trouble


def test_the_scheduler():
    assert of_scheduler(Verdict("ready", "Ready", "")) == Standing("scheduler", 1, 1)
    assert (
        of_scheduler(Verdict("failing", "Unschedulable", "fits on no node")).pending == "1 (1 unschedulable)"
    )


def test_the_table_says_what_kubernetes_says_and_runs_nothing():
    standing = Standing("default", 1, 0, 0, "Error", "<script>")
    assert sentence([standing, Standing("other", 1, 1)]) == "default: <script>"
    assert "&lt;script&gt;" in to_html([standing])
    assert to_html([]) == ""
