"""Workers and their results, when groups change, Pods are taken away, and templates are edited."""

from __future__ import annotations

import json
import re

TOOLS = """
import json, os, subprocess, sys, time
from dask.distributed import Client, get_worker, wait
from dask_gpu_k8s import KubeCluster


def kubectl(*words, text=None):
    done = subprocess.run([*sys.argv[1:], *words], input=text, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def until(group, *what, seconds=60):
    for each in what:
        kubectl("wait", f"--for={each}", f"daskworkergroup/{group}", f"--timeout={seconds}s")


def pods(group):
    return set(kubectl("get", "pods", "-l", f"dask.org/workergroup-name={group}", "-o", "name").split())


def names(client):
    return set(client.run(lambda dask_worker: dask_worker.name).values())


READY = "jsonpath={.status.readyReplicas}="
COUNT = "jsonpath={.status.replicas}="
SETTLED = "condition=ScalingDown=False"
"""


def run(kubernetes, text: str, timeout: float = 150) -> str:
    done = kubernetes.python(TOOLS + text, *kubernetes.command(), timeout=timeout)
    assert "Traceback" not in done.stderr
    return str(done.stdout)


UNDER_LOAD = """
def make(i):
    get_worker().log_event("made", (i, get_worker().name))
    time.sleep(0.3)
    return bytes([i]) * 100_000


with KubeCluster(name="load", n_workers=3) as cluster:
    cluster.add_worker_group("other", n_workers=1)
    with Client(cluster) as client:
        client.wait_for_workers(4, timeout=90)
        others = pods("load-other")
        first = client.map(make, range(40), pure=False)
        while len(client.get_events("made")) < 20:
            time.sleep(0.05)
        cluster.scale(2)
        more = client.map(make, range(40, 80), pure=False)
        until("load-default", "jsonpath={.status.desiredReplicas}=2", COUNT + "2", SETTLED)
        change = {"spec": {"worker": {"metadata": {"annotations": {"rolled": "out"}}}}}
        last = client.map(make, range(80, 120), pure=False)
        kubectl("patch", "daskworkergroup", "load-default", "--type=merge", "-p", json.dumps(change))
        done = ("jsonpath={.status.observedGeneration}=3", "condition=UpToDate", READY + "2", SETTLED)
        until("load-default", *done, seconds=120)
        futures = [*first, *more, *last]
        wait(futures, timeout=60)
        result = client.gather(futures)
        runs = [made for _, made in client.get_events("made")]
        gone = {name for _, name in runs} - names(client)
        moved = sum(100_000 for _, name in runs if name in gone)
        print(f"result equal: {result == [bytes([i]) * 100_000 for i in range(120)]}")
        print(f"recomputed tasks: {len(runs) - len({i for i, _ in runs})}")
        print(f"workers gone: {len(gone)}")
        print(f"bytes moved: {moved}")
        print(f"other group untouched: {pods('load-other') == others}")
"""


def test_row_1_scale_down_and_rollout_under_load(kubernetes, capsys):
    """Busy workers with unique data go, of one group alone; nothing is lost and nothing computed again."""
    said = run(kubernetes, UNDER_LOAD, timeout=240)
    with capsys.disabled():
        print(f"\n{kubernetes.kind}: {said.replace(chr(10), '; ')}")
    found = dict(re.findall(r"^(.*): (.*)$", said, re.MULTILINE))
    assert found["result equal"] == "True"
    assert found["recomputed tasks"] == "0"
    assert int(found["workers gone"]) >= 3
    assert int(found["bytes moved"]) > 0
    assert found["other group untouched"] == "True"


FOUR_PROCESSES = """
COMMAND = "dask worker --nworkers 4 --nthreads 1"

with KubeCluster(name="multi", n_workers=2, worker_command=COMMAND) as cluster:
    with Client(cluster) as client:
        client.wait_for_workers(8, timeout=90)
        before = names(client)
        workers = list(client.scheduler_info(n_workers=-1)["workers"])
        data = [client.scatter([i], workers=[at], hash=False)[0] for i, at in enumerate(workers)]
        cluster.scale(1)
        until("multi-default", "jsonpath={.status.desiredReplicas}=1", COUNT + "1", SETTLED)
        left = names(client)
        (pod,) = pods("multi-default")
        assert len(left) == 4 and left < before, left
        assert all(name.startswith(pod.removeprefix("pod/") + "-") for name in left), (pod, left)
        assert client.gather(data) == list(range(8))
"""


def test_row_14_all_four_processes_of_a_pod_go_together(kubernetes):
    run(kubernetes, FOUR_PROCESSES)


EDITS = """
def edit(*changes):
    kubectl("patch", "daskcluster", "edited", "--type=json", "-p", json.dumps(changes))


CONTAINER = "/spec/worker/spec/containers/0"
COLOUR = {"name": "COLOUR", "value": "blue"}

with KubeCluster(name="edited", n_workers=2) as cluster, Client(cluster) as client:
    client.wait_for_workers(2, timeout=90)
    before = names(client)
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    data = [client.scatter([i], workers=[at], hash=False)[0] for i, at in enumerate(workers)]
    spec = json.loads(kubectl("get", "daskcluster", "edited", "-o", "json"))["spec"]
    container = spec["worker"]["spec"]["containers"][0]
    program = "args" if "args" in container else "command"

    # A template that cannot run: one worker makes way for it, the other stays with all data.
    edit({"op": "replace", "path": f"{CONTAINER}/{program}", "value": ["no-such-program"]})
    until("edited-default", "condition=Ready=False", "jsonpath={.status.updatedReplicas}=1", SETTLED)
    until("edited-default", READY + "1")

    # Mended, and with another variable: it goes on by itself.
    edit(
        {"op": "replace", "path": f"{CONTAINER}/{program}", "value": container[program]},
        {"op": "add", "path": f"{CONTAINER}/env", "value": [*(container.get("env") or []), COLOUR]},
    )
    updated = "jsonpath={.status.updatedReplicas}=2"
    until("edited-default", updated, READY + "2", "condition=UpToDate", SETTLED)
    client.wait_for_workers(2, timeout=30)
    assert set(client.run(lambda: os.environ.get("COLOUR")).values()) == {"blue"}
    assert not before & names(client)
    assert client.gather(data) == [0, 1]
"""


def test_row_21_an_edited_template_rolls_out_retiring_first_and_a_bad_one_is_mended(kubernetes):
    run(kubernetes, EDITS)


TAKEN_AWAY = """
def replaced_within_10_s(gone):
    start = time.monotonic()
    while len(pods("taken-default") - {gone}) < 2:
        assert time.monotonic() - start < 10, "no other worker within 10 s"
        time.sleep(0.1)


with KubeCluster(name="taken", n_workers=2) as cluster, Client(cluster) as client:
    client.wait_for_workers(2, timeout=90)
    for number, how in enumerate(("delete", "evict")):
        at, name = next(iter(client.run(lambda dask_worker: dask_worker.name).items()))
        data = client.scatter([number], workers=[at], hash=False)
        start = time.monotonic()
        if how == "delete":
            kubectl("delete", "pod", name, "--wait=false")
        else:
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
            namespace = os.environ["DASK_KUBERNETES__NAMESPACE"]
            path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
            kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
        replaced_within_10_s(f"pod/{name}")
        kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=30s")
        print(how, f"{time.monotonic() - start:.1f} s")
        assert client.gather(data) == [number], how
        until("taken-default", READY + "2")
        client.wait_for_workers(2, timeout=60)
        assert name not in names(client)
"""


def test_row_30_and_31_a_worker_that_is_taken_away_is_drained_and_replaced(kubernetes):
    """`kubectl delete pod` and an eviction take the worker with the only copy; the copy survives."""
    run(kubernetes, TAKEN_AWAY)


PAUSES = """
def suspend(yes):
    change = json.dumps({"spec": {"suspendWorkers": yes}})
    kubectl("patch", "daskcluster", "paused", "--type=merge", "-p", change)


with KubeCluster(name="paused", n_workers=0) as cluster, Client(cluster) as client:
    assert client.nthreads() == {}
    cluster.scale(2)
    client.wait_for_workers(2, timeout=90)
    total = client.submit(sum, [1, 2, 3])
    assert total.result(timeout=30) == 6
    scheduler = kubectl("get", "pod", "paused-scheduler", "-o", "jsonpath={.metadata.uid}")

    suspend(True)
    until("paused-default", "jsonpath={.status.phase}=Suspended")
    assert client.nthreads() == {}
    suspend(False)
    until("paused-default", READY + "2")
    assert total.result(timeout=30) == 6, "it is computed again"
    assert kubectl("get", "pod", "paused-scheduler", "-o", "jsonpath={.metadata.uid}") == scheduler

    cluster.scale(0)
    until("paused-default", "jsonpath={.status.desiredReplicas}=0", COUNT + "0", SETTLED)
    mine = ("-l", "dask.org/workergroup-name=paused-default")
    kubectl("wait", "--for=delete", "pod", *mine, "--timeout=30s")
    assert client.nthreads() == {}
"""


def test_row_24_and_29_workers_go_and_come_back_from_zero_the_scheduler_stays(kubernetes):
    run(kubernetes, PAUSES)


def test_row_49_what_kubectl_shows_of_a_group(kubernetes):
    """With `kubectl scale` and `kubectl wait`; its Pods fit nowhere, and the table says so."""
    container = {"name": "worker", "image": "any", "resources": {"limits": {"example.org/none": "1"}}}
    group = {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": {"name": "shown"},
        "spec": {
            "worker": {"replicas": 1, "spec": {"containers": [container]}},
            "scheduler": {
                "spec": {"containers": [{**container, "name": "scheduler"}]},
                "service": {"type": "ClusterIP", "ports": [{"name": "tcp-comm", "port": 8786}]},
            },
        },
    }
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(group))
    kubernetes.kubectl("wait", "--for=create", "daskworkergroup/shown-default", "--timeout=30s")
    kubernetes.kubectl("scale", "--replicas=2", "daskworkergroup/shown-default")
    for what in ("jsonpath={.status.unschedulableReplicas}=2", "condition=Ready=False"):
        kubernetes.kubectl("wait", f"--for={what}", "daskworkergroup/shown-default", "--timeout=30s")
    header, row = kubernetes.kubectl("get", "daskworkergroups").splitlines()
    columns = "NAME CLUSTER WORKERS READY PENDING UNSCHEDULABLE UPDATED STATUS AGE"
    assert header.split() == columns.split()
    assert row.split()[:-1] == ["shown-default", "shown", "2", "0", "2", "2", "2", "Pending"]
    why = kubernetes.kubectl(
        "get",
        "daskworkergroup",
        "shown-default",
        "-o",
        'jsonpath={.status.conditions[?(@.type=="Ready")].message}',
    )
    assert why.startswith("0 of 2 ready; 2: fits on no node: 0/")
    assert "Insufficient example.org/none" in why
