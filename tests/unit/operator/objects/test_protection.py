"""What protects a cluster, and whose labels win on all that is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.objects.jobs import make_runner_pod
from dask_gpu_k8s.operator.objects.protection import make_network_policy, make_scheduler_budget
from dask_gpu_k8s.operator.objects.scheduler import (
    make_cluster_ip_service,
    make_scheduler_pod,
    make_scheduler_service,
)
from dask_gpu_k8s.operator.objects.workers import make_default_group, make_worker_pod
from tests.unit.operator.builders import a_cluster, a_group, a_job


def peers_of(cluster: dict[str, Any], home: str = "") -> list[dict[str, Any]]:
    (rule,) = make_network_policy(freeze(cluster), home)["spec"]["ingress"]
    return list(rule["from"])


OWN = {"podSelector": {"matchLabels": {"dask.org/cluster-name": "foo"}}}
OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "home"}},
    "podSelector": {"matchLabels": {"dask.org/component": "operator"}},
}


def test_row_39_the_clusters_own_pods_and_the_operator_may_come_in():
    assert peers_of(a_cluster(), "home") == [OWN, OPERATOR]
    assert peers_of(a_cluster()) == [OWN], "an operator outside comes in through the kubelet"


def test_row_39_peers_of_the_spec_come_beside_them():
    cluster = a_cluster()
    peer = {"podSelector": {"matchLabels": {"app": "jupyter"}}}
    cluster["spec"]["networkPolicyFrom"] = [peer]
    assert peers_of(cluster, "home") == [OWN, OPERATOR, peer]


def test_row_39_nothing_is_said_about_where_pods_may_go():
    spec = make_network_policy(a_cluster(), "home")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert "egress" not in spec
    assert spec["podSelector"] == OWN["podSelector"], "scheduler, workers and runner alike"


def test_a_budget_says_a_whole_number():
    """Of Pods without a controller, Kubernetes takes no share and no maxUnavailable."""
    budget = make_scheduler_budget(freeze(a_cluster()))
    assert budget["spec"]["minAvailable"] == 1
    labels = make_scheduler_pod(a_cluster())["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def everything_of(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        make_scheduler_pod(cluster),
        make_scheduler_service(cluster),
        make_cluster_ip_service(cluster),
        make_scheduler_budget(cluster),
        make_network_policy(cluster, "home"),
        make_default_group(cluster),
        make_worker_pod(cluster, a_group(), 0),
        make_runner_pod(a_job()),
    ]


def test_polyaxon_the_label_by_which_it_finds_pods_is_never_ours():
    for made in everything_of(a_cluster()):
        assert "app.kubernetes.io/instance" not in made["metadata"]["labels"]


@pytest.mark.parametrize(
    "label",
    ["sidecar.istio.io/inject", "linkerd.io/inject", "app.kubernetes.io/instance", "dask.org/team"],
)
def test_row_38_a_label_of_people_wins_everywhere(label):
    cluster = a_cluster()
    cluster["metadata"]["labels"] = {label: "cluster"}
    cluster["spec"]["scheduler"]["metadata"] = {"labels": {label: "scheduler"}}
    cluster["spec"]["worker"]["metadata"] = {"labels": {label: "worker"}}
    assert make_scheduler_pod(cluster)["metadata"]["labels"][label] == "scheduler"
    group = {**make_default_group(cluster)}
    group["metadata"] = {**group["metadata"], "uid": "u"}
    assert make_worker_pod(cluster, group, 0)["metadata"]["labels"][label] == "worker"
    assert make_scheduler_budget(cluster)["metadata"]["labels"][label] == "cluster"


def test_row_38_an_annotation_of_people_wins_over_the_operators():
    cluster = a_cluster()
    evict = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    cluster["metadata"]["annotations"] = {evict: "maybe"}
    assert make_scheduler_pod(cluster)["metadata"]["annotations"][evict] == "maybe"
    assert make_worker_pod(cluster, a_group(), 0)["metadata"]["annotations"][evict] == "maybe"


@pytest.mark.parametrize("label", ["dask.org/cluster-name", "dask.org/component"])
def test_row_38_save_those_that_are_selected_by(label):
    cluster = a_cluster()
    cluster["metadata"]["labels"] = {label: "mine"}
    selector = make_scheduler_service(cluster)["spec"]["selector"]
    assert selector.items() <= make_scheduler_pod(cluster)["metadata"]["labels"].items()
