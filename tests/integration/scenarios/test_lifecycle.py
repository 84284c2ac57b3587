"""The life of a cluster with running Pods: looked at, suspended, its scheduler killed, under a quota."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.conftest import EXAMPLES, namespace_in

MANIFEST = yaml.safe_load((EXAMPLES / "rapids-dask-cluster.yaml").read_text())
IMAGE = MANIFEST["spec"]["worker"]["spec"]["containers"][0]["image"]


def a_cluster(name: str, workers: int = 1, **spec: Any) -> dict[str, Any]:
    """Return a cluster whose Pods come and go quickly."""
    cluster = json.loads(json.dumps(MANIFEST))
    cluster["metadata"] = {"name": name}
    cluster["spec"].update(spec)
    worker, scheduler = cluster["spec"]["worker"], cluster["spec"]["scheduler"]
    worker["replicas"] = workers
    del worker["spec"]["containers"][0]["resources"]
    container = scheduler["spec"]["containers"][0]
    container["readinessProbe"] = {"tcpSocket": {"port": "tcp-comm"}, "periodSeconds": 1}
    del container["livenessProbe"], container["env"]
    selector = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    scheduler["service"]["selector"] = selector
    return cluster


def apply(kubernetes, manifest: dict[str, Any]) -> None:
    kubernetes.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def wait(kubernetes, what: str, name: str, seconds: int = 60, kind: str = "daskcluster") -> None:
    kubernetes.kubectl(
        "wait", f"--for={what}", f"{kind}/{name}", f"--timeout={seconds}s", timeout=seconds + 10
    )


def wait_for(kubernetes, name: str, seconds: int = 60, kind: str = "daskcluster", **status: Any) -> None:
    for field, value in status.items():
        wait(kubernetes, f"jsonpath={{.status.{field}}}={value}", name, seconds, kind)


def edit(kubernetes, name: str, **spec: Any) -> None:
    kubernetes.kubectl("patch", "daskcluster", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def get(kubernetes, kind: str, *args: str) -> Any:
    return json.loads(kubernetes.kubectl("get", kind, *args, "-o", "json"))


def pods(kubernetes, name: str, component: str | None = None) -> list[dict[str, Any]]:
    selector = f"dask.org/cluster-name={name}" + (f",dask.org/component={component}" if component else "")
    items: list[dict[str, Any]] = get(kubernetes, "pods", "-l", selector)["items"]
    return items


def condition(kubernetes, name: str, type_: str) -> dict[str, Any]:
    conditions = get(kubernetes, "daskcluster", name)["status"]["conditions"]
    return next(item for item in conditions if item["type"] == type_)


def test_row_24_a_suspended_cluster_has_no_pod_and_comes_back(kubernetes):
    apply(kubernetes, a_cluster("s", 1))
    wait_for(kubernetes, "s", phase="Running", readyWorkers=1)
    edit(kubernetes, "s", suspend=True)
    wait_for(kubernetes, "s", phase="Suspended")
    assert pods(kubernetes, "s") == []
    kept = kubernetes.kubectl("get", "services,daskworkergroups", "-o", "name").split()
    assert len(kept) == 3
    edit(kubernetes, "s", suspend=False)
    wait(kubernetes, "condition=Ready", "s")
    wait_for(kubernetes, "s", phase="Running", readyWorkers=1, schedulerRestarts=0)


def test_row_24_suspended_workers_free_all_but_the_scheduler(kubernetes):
    apply(kubernetes, a_cluster("s", 2))
    wait_for(kubernetes, "s", phase="Running", readyWorkers=2)
    (scheduler,) = pods(kubernetes, "s", "scheduler")
    edit(kubernetes, "s", suspendWorkers=True)
    wait(kubernetes, "condition=Suspended", "s")
    assert pods(kubernetes, "s", "worker") == []
    edit(kubernetes, "s", suspendWorkers=False)
    wait_for(kubernetes, "s", readyWorkers=2)
    (after,) = pods(kubernetes, "s", "scheduler")
    assert after["metadata"]["uid"] == scheduler["metadata"]["uid"]


COMPUTE = """
import logging
from dask.distributed import Client

logging.disable()  # a worker that comes back may take a result along, which is computed again and told of
print(Client("k-scheduler:8786").submit(sum, [1, 2]).result(60))
"""


def test_row_32_a_killed_scheduler_comes_back_and_computes(kubernetes):
    apply(kubernetes, a_cluster("k", 1))
    wait_for(kubernetes, "k", phase="Running", readyWorkers=1)
    kubernetes.kubectl("delete", "pod", "k-scheduler", "--grace-period=1", "--wait=false")
    wait_for(kubernetes, "k", schedulerRestarts=1)
    wait_for(kubernetes, "k", phase="Running")
    lost = condition(kubernetes, "k", "SchedulerLost")
    assert (lost["status"], lost["reason"]) == ("False", "StartedAgain")
    assert kubernetes.kubectl("exec", "k-scheduler", "--", "python", "-c", COMPUTE, timeout=90).strip() == "3"


NEVER_READY = """
from dask.distributed import Client
from dask_gpu_k8s import KubeCluster, make_cluster_spec
cluster = make_cluster_spec("early", n_workers=1)
cluster["spec"]["scheduler"]["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["false"]}}
with KubeCluster(custom_cluster_spec=cluster) as cluster, Client(cluster) as client:
    print(client.submit(sum, [1, 2]).result(timeout=60))
"""


def test_clients_and_workers_need_not_wait_for_a_probe(kubernetes):
    assert kubernetes.python(NEVER_READY, timeout=120).stdout == "3\n"


def test_row_32_policy_fail_leaves_it_to_people(kubernetes):
    manifest = a_cluster("f", 0)
    manifest["spec"]["scheduler"]["lossPolicy"] = "Fail"
    apply(kubernetes, manifest)
    wait_for(kubernetes, "f", phase="Running")
    kubernetes.kubectl("delete", "pod", "f-scheduler", "--grace-period=1")
    wait_for(kubernetes, "f", phase="Failed")
    assert "lossPolicy" in condition(kubernetes, "f", "SchedulerLost")["message"]
    assert pods(kubernetes, "f", "scheduler") == []
    edit(kubernetes, "f", scheduler={"lossPolicy": "Restart"})
    wait_for(kubernetes, "f", phase="Running", schedulerRestarts=1)


def as_reana_writes_it() -> dict[str, Any]:
    """A shell around the worker, its name in the shell's words, and a sidecar beside it."""
    cluster = a_cluster("r", 1, networkPolicy=True)
    cluster["metadata"]["labels"] = {"sidecar.istio.io/inject": "false", "team": "cluster"}
    cluster["metadata"]["annotations"] = {"example.org/note": "cluster"}
    worker = cluster["spec"]["worker"]
    worker["metadata"] = {
        "labels": {"sidecar.istio.io/inject": "true"},
        "annotations": {"example.org/note": "w"},
    }
    container = worker["spec"]["containers"][0]
    container.update(command=["/bin/sh", "-c"], args=["exec dask worker --name $(DASK_WORKER_NAME)"])
    sidecar = {"name": "kerberos", "image": IMAGE, "command": ["sleep", "600"]}
    worker["spec"].update(containers=[container, sidecar], terminationGracePeriodSeconds=1)
    return cluster


@pytest.fixture(scope="module")
def reana(dask_cluster):
    """One such cluster for all tests that only look."""
    with namespace_in(dask_cluster) as kubernetes:
        apply(kubernetes, as_reana_writes_it())
        wait_for(kubernetes, "r", phase="Running", readyWorkers=1)
        yield kubernetes


def test_row_38_what_people_label_wins(reana):
    (worker,) = pods(reana, "r", "worker")
    (scheduler,) = pods(reana, "r", "scheduler")
    assert worker["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    assert scheduler["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert worker["metadata"]["labels"]["team"] == "cluster"
    assert worker["metadata"]["annotations"]["example.org/note"] == "w"
    assert scheduler["metadata"]["annotations"]["example.org/note"] == "cluster"


def test_reana_a_shell_knows_the_workers_name_and_a_sidecar_runs_beside_it(reana):
    (worker,) = pods(reana, "r", "worker")
    name = worker["metadata"]["name"]
    assert [container["name"] for container in worker["spec"]["containers"]] == ["worker", "kerberos"]
    program = (
        "from dask.distributed import Client, get_worker; "
        "print(Client('r-scheduler:8786').submit(lambda: get_worker().name).result(60))"
    )
    assert reana.kubectl("exec", "r-scheduler", "--", "python", "-c", program).strip() == name


def test_reana_collects_logs_by_label_and_finds_the_dashboard_by_number(reana):
    logs = reana.kubectl("logs", "-l", "dask.org/cluster-name=r,dask.org/component=scheduler", "--tail=-1")
    assert "Scheduler at:" in logs
    ports = get(reana, "service", "r-scheduler")["spec"]["ports"]
    assert 8787 in [port["port"] for port in ports]


def test_polyaxon_finds_its_own_instance_label_nowhere(reana):
    """It looks for Pods by it; only whoever puts it on the cluster has it on the Pods."""
    for pod in pods(reana, "r"):
        assert "app.kubernetes.io/instance" not in pod["metadata"]["labels"]


def test_row_39_only_the_cluster_and_the_operator_may_come_in(reana):
    policy = get(reana, "networkpolicy", "r-network")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["podSelector"] == {"matchLabels": {"dask.org/cluster-name": "r"}}
    (rule,) = policy["ingress"]
    own, operator = rule["from"]
    assert own == {"podSelector": policy["podSelector"]}
    (home,) = operator["namespaceSelector"]["matchLabels"].values()
    found = get(reana, "pods", "-n", home, "-l", "dask.org/component=operator")["items"]
    assert operator["podSelector"] == {"matchLabels": {"dask.org/component": "operator"}}
    assert len(found) == 1, "the labels are those of the operator's Pod"


def test_row_49_columns(reana):
    header, row = reana.kubectl("get", "daskcluster", "r").splitlines()
    assert header.split() == ["NAME", "WORKERS", "READY", "PENDING", "STATUS", "AGE"]
    assert row.split()[:5] == ["r", "1", "1", "0", "Running"]
    header, row = reana.kubectl("get", "daskcluster", "r", "-o", "wide").splitlines()
    wide = ["UNSCHEDULABLE", "RESTARTS", "SCHEDULER", "REASON", "MESSAGE"]
    assert header.split() == ["NAME", "WORKERS", "READY", "PENDING", "STATUS", "AGE", *wide]
    assert f"tcp://r-scheduler.{reana.namespace}.svc:8786" in row
    assert "SchedulerReady" in row
    assert "1 of 1 workers are ready." in row


def test_row_49_wait(reana):
    for what in (
        "condition=Ready",
        "condition=SchedulerReady",
        "condition=WorkersReady",
        "jsonpath={.status.phase}=Running",
        "jsonpath={.status.readyWorkers}=1",
    ):
        wait(reana, what, "r", 5)


def test_the_budget_spares_the_scheduler(reana):
    _, row = reana.kubectl("get", "poddisruptionbudget", "r-scheduler").splitlines()
    assert row.split()[:2] == ["r-scheduler", "1"]
    wait(reana, "condition=SchedulerProtected", "r", 5)
