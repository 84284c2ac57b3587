"""What a secured cluster's Pods get, and what of it gives way to the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dask_gpu_k8s.operator.objects.jobs import make_runner_pod
from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod, scheduler_address
from dask_gpu_k8s.operator.objects.security import (
    FOLDER,
    READ_ONLY_ROUTES,
    VOLUME,
    make_secret,
    secret_of,
    secure,
)
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from tests.unit.operator.builders import a_cluster, a_group, a_job


def a_secure_cluster(**spec):
    cluster = a_cluster()
    return {**cluster, "spec": {**cluster["spec"], "security": True, **spec}}


def a_secure_job():
    job = a_job()
    cluster = {"spec": a_secure_cluster()["spec"]}
    return {**job, "spec": {**job["spec"], "cluster": cluster}}


PODS = {
    "scheduler": make_scheduler_pod(a_secure_cluster()),
    "worker": make_worker_pod(a_secure_cluster(), a_group(), 0),
    "runner": make_runner_pod(a_secure_job()),
}


def env_of(pod, index=0):
    return {each["name"]: each.get("value") for each in pod["spec"]["containers"][index]["env"]}


@pytest.mark.parametrize("role", PODS)
def test_every_pod_has_the_certificates_and_says_so_to_dask(role):
    pod = PODS[role]
    (volume,) = pod["spec"]["volumes"]
    assert volume["secret"]["secretName"] == "foo-tls"
    (mount,) = pod["spec"]["containers"][0]["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": FOLDER, "readOnly": True}
    env = env_of(pod)
    assert env["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "True"
    assert env["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] == f"{FOLDER}/ca.crt"
    for part in ("SCHEDULER", "WORKER", "CLIENT"):
        assert env[f"DASK_DISTRIBUTED__COMM__TLS__{part}__CERT"] == f"{FOLDER}/tls.crt"
        assert env[f"DASK_DISTRIBUTED__COMM__TLS__{part}__KEY"] == f"{FOLDER}/tls.key"


@pytest.mark.parametrize("role", PODS)
def test_nobody_mounts_what_comes_with_the_next_renewal(role):
    (volume,) = PODS[role]["spec"]["volumes"]
    assert [item["key"] for item in volume["secret"]["items"]] == ["ca.crt", "tls.crt", "tls.key"]


@pytest.mark.parametrize("role", ["worker", "runner"])
def test_addresses_say_tls(role):
    assert env_of(PODS[role])["DASK_SCHEDULER_ADDRESS"] == "tls://foo-scheduler.ns.svc:8786"
    assert scheduler_address(a_secure_cluster()) == "tls://foo-scheduler.ns.svc:8786"


def test_row_39_the_http_port_of_a_scheduler_only_shows():
    """What Dask serves by itself, less the proxy, and nothing of what an image may have added."""
    import distributed

    routes = yaml.safe_load(env_of(PODS["scheduler"])["DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES"])
    # From its file: a scheduler in this process may have changed what was read from it.
    usual = yaml.safe_load((Path(distributed.__file__).parent / "distributed.yaml").read_text())
    usual = usual["distributed"]["scheduler"]["http"]["routes"]
    assert tuple(routes) == READ_ONLY_ROUTES
    assert [*routes, "distributed.http.proxy"] != routes
    assert set(usual) - set(routes) == {"distributed.http.proxy"}
    assert set(routes) <= set(usual)


def test_without_security_nothing_is_added():
    cluster = a_cluster()
    spec = {"containers": [{"name": "c"}]}
    assert secure(cluster, spec) == spec
    assert "volumes" not in make_scheduler_pod(cluster)["spec"]


def test_what_the_user_says_wins():
    own = {"name": "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "value": "False"}
    mount = {"name": "mine", "mountPath": f"{FOLDER}/"}
    volume = {"name": VOLUME, "emptyDir": {}}
    spec = {"containers": [{"name": "c", "env": [own], "volumeMounts": [mount]}], "volumes": [volume]}
    made = secure(a_secure_cluster(), spec)
    container = made["containers"][0]
    assert [each for each in container["env"] if each["name"] == own["name"]] == [own]
    assert container["env"][-1] == own, "the operator's come first, so that the user's may refer to them"
    assert container["volumeMounts"] == [mount]
    assert made["volumes"] == [volume]
    assert spec["containers"][0]["env"] == [own], "what was handed over is not changed"


def test_every_container_gets_it():
    made = secure(a_secure_cluster(), {"containers": [{"name": "a"}, {"name": "b"}]})
    assert [len(each["volumeMounts"]) for each in made["containers"]] == [1, 1]


def test_a_secret_of_the_users_own():
    pod = make_scheduler_pod(a_secure_cluster(securitySecret="mine"))
    assert secret_of(pod) == "mine"
    assert secret_of(make_scheduler_pod(a_cluster())) == ""


def test_the_secret_goes_with_its_cluster_and_is_found_by_its_label():
    secret = make_secret(a_secure_cluster())
    assert secret["metadata"]["name"] == "foo-tls"
    assert secret["metadata"]["labels"]["dask.org/cluster-name"] == "foo"
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "u-cluster"
    assert secret["type"] == "kubernetes.io/tls"
    assert "data" not in secret
