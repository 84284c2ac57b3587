"""The objects that the operator makes."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.kube.frozen import freeze
from dask_gpu_k8s.operator.objects.jobs import make_job_cluster, make_runner_pod
from dask_gpu_k8s.operator.objects.scheduler import (
    make_cluster_ip_service,
    make_scheduler_pod,
    make_scheduler_service,
    scheduler_address,
)
from dask_gpu_k8s.operator.objects.workers import make_default_group, make_worker_pod, replicas_of
from tests.unit.operator.builders import a_cluster, a_group, a_job


def with_metadata(obj: dict, **metadata) -> dict:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


def test_nothing_given_is_changed():
    cluster, group, job = freeze(a_cluster()), freeze(a_group()), freeze(a_job())
    make_scheduler_pod(cluster)
    make_scheduler_service(cluster)
    make_cluster_ip_service(cluster)
    make_default_group(cluster)
    make_worker_pod(cluster, group, 0)
    make_job_cluster(job)
    make_runner_pod(job)


def test_names():
    cluster = a_cluster()
    assert make_scheduler_pod(cluster)["metadata"]["name"] == "foo-scheduler"
    assert make_scheduler_service(cluster)["metadata"]["name"] == "foo-scheduler"
    assert make_cluster_ip_service(cluster)["metadata"]["name"] == "foo-service"
    assert make_default_group(cluster)["metadata"]["name"] == "foo-default"
    name = make_worker_pod(cluster, a_group(), 0)["metadata"]["name"]
    assert name.startswith("foo-default-worker-group-worker-")
    assert len(name.rpartition("-")[2]) == 10


def test_a_worker_knows_its_name_and_its_scheduler():
    pod = make_worker_pod(a_cluster(), a_group(), 0)
    env = {item["name"]: item["value"] for item in pod["spec"]["containers"][0]["env"]}
    assert env["DASK_WORKER_NAME"] == pod["metadata"]["name"]
    assert env["DASK_SCHEDULER_ADDRESS"] == "tcp://foo-scheduler.ns.svc:8786"


def test_the_address_follows_the_services_port():
    cluster = a_cluster()
    cluster["spec"]["scheduler"]["service"] = {"ports": [{"name": "tcp-comm", "port": 9000}]}
    assert scheduler_address(cluster) == "tcp://foo-scheduler.ns.svc:9000"


def test_owners_all_the_way():
    def owner(obj):
        (reference,) = obj["metadata"]["ownerReferences"]
        assert reference["controller"]
        assert reference["blockOwnerDeletion"]
        return reference["kind"], reference["name"], reference["uid"]

    cluster, group, job = a_cluster(), a_group(), a_job()
    of_cluster = ("DaskCluster", "foo", "u-cluster")
    assert owner(make_scheduler_pod(cluster)) == of_cluster
    assert owner(make_scheduler_service(cluster)) == of_cluster
    assert owner(make_cluster_ip_service(cluster)) == of_cluster
    assert owner(make_default_group(cluster)) == of_cluster
    assert owner(make_worker_pod(cluster, group, 0)) == ("DaskWorkerGroup", "foo-default", "u-group")
    assert owner(make_job_cluster(job)) == ("DaskJob", "foo", "u-job")
    assert owner(make_runner_pod(job)) == ("DaskJob", "foo", "u-job")


def test_labels_go_down_and_the_fixed_ones_win():
    cluster = with_metadata(a_cluster(), labels={"team": "x", "dask.org/component": "nonsense"})
    cluster["spec"]["worker"]["metadata"] = {"labels": {"team": "y", "tier": "w"}}
    cluster["spec"]["scheduler"]["metadata"] = {"labels": {"sidecar.istio.io/inject": "true"}}
    scheduler = make_scheduler_pod(cluster)["metadata"]["labels"]
    assert scheduler == {
        "team": "x",
        "sidecar.istio.io/inject": "true",
        "dask.org/cluster-name": "foo",
        "dask.org/component": "scheduler",
    }
    group = with_metadata(make_default_group(cluster), uid="u", namespace="ns")
    assert group["metadata"]["labels"]["team"] == "y"
    assert group["metadata"]["labels"]["dask.org/component"] == "workergroup"
    worker = make_worker_pod(cluster, group, 0)["metadata"]["labels"]
    assert worker == {
        "team": "y",
        "tier": "w",
        "dask.org/cluster-name": "foo",
        "dask.org/component": "worker",
        "dask.org/workergroup-name": "foo-default",
    }


def test_labels_of_the_cluster_fill_gaps_in_a_users_group():
    cluster = with_metadata(a_cluster(), labels={"team": "x", "only": "cluster"})
    group = with_metadata(a_group(), labels={"team": "y"})
    worker = make_worker_pod(cluster, group, 0)["metadata"]["labels"]
    assert (worker["team"], worker["only"]) == ("y", "cluster")


def test_no_mesh_label_is_forced():
    assert "sidecar.istio.io/inject" not in make_worker_pod(a_cluster(), a_group(), 0)["metadata"]["labels"]


def test_annotations_that_tools_keep_on_the_parent_stay_there():
    notes = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kopf.zalando.org/x": "y", "mine": "1"}
    cluster = with_metadata(a_cluster(), annotations=notes)
    eviction = {labels.SAFE_TO_EVICT: "false"}
    assert annotations_of(make_scheduler_pod(cluster)) == {**eviction, "mine": "1"}
    cluster["spec"]["scheduler"]["metadata"] = {"annotations": {"mine": "2"}}
    assert annotations_of(make_scheduler_pod(cluster)) == {**eviction, "mine": "2"}


def test_a_node_autoscaler_may_evict_workers_and_not_the_scheduler_unless_the_user_says_otherwise():
    cluster = a_cluster()

    def said() -> list[str]:
        pods = (make_scheduler_pod(cluster), make_worker_pod(cluster, a_group(), 0))
        return [pod["metadata"]["annotations"][labels.SAFE_TO_EVICT] for pod in pods]

    assert said() == ["false", "true"]
    cluster["metadata"]["annotations"] = {labels.SAFE_TO_EVICT: "false"}
    assert said() == ["false", "false"]
    cluster["spec"]["scheduler"]["metadata"] = {"annotations": {labels.SAFE_TO_EVICT: "true"}}
    assert said() == ["true", "false"]


def annotations_of(made: dict) -> dict:
    """Return the annotations save the operator's own."""
    given = made["metadata"]["annotations"]
    return {key: value for key, value in given.items() if not key.startswith("kubernetes.dask.org/")}


def test_what_flyte_puts_on_a_job_reaches_all_of_its_pods():
    job = with_metadata(a_job(), labels={"flyte.org/managed": "true"}, annotations={"a": "b"})
    job["spec"]["cluster"]["metadata"] = {
        "creationTimestamp": None,
        "labels": {"c": "d"},
        "annotations": None,
    }
    cluster = with_metadata(make_job_cluster(job), uid="u-cluster")
    group = with_metadata(make_default_group(cluster), uid="u-group")
    pods = (
        make_runner_pod(job),
        make_scheduler_pod(cluster),
        make_worker_pod(cluster, group, 0),
    )
    for pod in pods:
        assert pod["metadata"]["labels"]["flyte.org/managed"] == "true"
        assert pod["metadata"]["annotations"]["a"] == "b"
    assert cluster["metadata"]["labels"]["dask.org/cluster-name"] == "foo"
    assert cluster["metadata"]["labels"]["c"] == "d"


def test_a_service_without_type_or_selector_gets_them():
    spec = make_scheduler_service(a_cluster())["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["selector"] == {"dask.org/cluster-name": "foo", "dask.org/component": "scheduler"}


def test_a_service_is_made_as_asked_and_one_with_a_cluster_ip_beside_it():
    cluster = a_cluster()
    asked = {
        "type": "NodePort",
        "selector": {"mine": "1"},
        "ports": [{"name": "tcp-comm", "port": 8786, "nodePort": 30001}],
        "externalTrafficPolicy": "Local",
    }
    cluster["spec"]["scheduler"]["service"] = asked
    assert make_scheduler_service(cluster)["spec"] == {**asked, "publishNotReadyAddresses": True}
    assert make_cluster_ip_service(cluster)["spec"] == {
        "type": "ClusterIP",
        "selector": {"mine": "1"},
        "ports": [{"name": "tcp-comm", "port": 8786}],
        "publishNotReadyAddresses": True,
    }


def test_a_service_leads_only_to_a_ready_scheduler_if_the_user_wants_that():
    cluster = a_cluster()
    cluster["spec"]["scheduler"]["service"] = {"publishNotReadyAddresses": False}
    assert make_scheduler_service(cluster)["spec"]["publishNotReadyAddresses"] is False
    assert make_cluster_ip_service(cluster)["spec"]["publishNotReadyAddresses"] is False


def test_the_default_group_has_the_clusters_worker():
    cluster = a_cluster(4)
    spec = make_default_group(cluster)["spec"]
    assert spec == {"cluster": "foo", "worker": cluster["spec"]["worker"]}


def test_a_runner_does_not_start_again_unless_told_so():
    job = a_job()
    assert make_runner_pod(job)["spec"]["restartPolicy"] == "Never"
    job["spec"]["job"]["spec"]["restartPolicy"] = "OnFailure"
    assert make_runner_pod(job)["spec"]["restartPolicy"] == "OnFailure"


def test_a_runner_finds_its_scheduler_and_its_command_is_its_own():
    job = a_job()
    job["spec"]["job"]["spec"]["containers"][0]["command"] = ["dask-worker"]
    (container,) = make_runner_pod(job)["spec"]["containers"]
    assert container["env"] == [
        {"name": "DASK_SCHEDULER_ADDRESS", "value": "tcp://foo-scheduler.ns.svc:8786"}
    ]
    assert container["command"] == ["dask-worker"]


@pytest.mark.parametrize(
    ("given", "count"), [({}, 1), ({"replicas": None}, 1), ({"replicas": 0}, 0), ({"replicas": -2}, 0)]
)
def test_replicas(given, count):
    assert replicas_of({"spec": {"worker": given}}) == count
