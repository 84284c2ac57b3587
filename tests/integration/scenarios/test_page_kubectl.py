"""The page's kubectl way: its manifest applied, listed, watched, described, scaled, read and deleted."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import subprocess
import threading
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import EXAMPLES, namespace_in

MANIFEST = EXAMPLES / "rapids-dask-cluster.yaml"
NAME = "rapids-dask-cluster"
SELECTOR = f"dask.org/cluster-name={NAME}"


def apply(kubernetes) -> None:
    """Apply the page's manifest, and wait until its scheduler is ready and both workers run."""
    printed = kubernetes.kubectl("apply", "-f", str(MANIFEST))
    assert printed.strip() == f"daskcluster.kubernetes.dask.org/{NAME} created"
    for what in ("condition=Ready", "jsonpath={.status.readyWorkers}=2"):
        kubernetes.kubectl("wait", f"--for={what}", f"daskcluster/{NAME}", "--timeout=60s")


@pytest.fixture
def applied(kubernetes):
    """The page's manifest, applied."""
    apply(kubernetes)
    return kubernetes


@pytest.fixture(scope="module")
def standing(dask_cluster):
    """The same for tests that only look: one cluster for all of them."""
    with namespace_in(dask_cluster) as kubernetes:
        apply(kubernetes)
        yield kubernetes


@contextlib.contextmanager
def running(kubernetes, *args: str) -> Iterator[queue.Queue[str]]:
    """Run kubectl in the background and hand out its lines as they come."""
    process = subprocess.Popen(
        kubernetes.command(*args),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=kubernetes.environment,
    )
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait(timeout=10)
        reader.join(timeout=10)
        process.stdout.close()


def line_with(lines: queue.Queue[str], pattern: str, timeout: float = 60) -> str:
    """Return the first line that matches; `queue.Empty` if none comes in time."""
    while True:
        line = lines.get(timeout=timeout)
        if re.search(pattern, line):
            return line


def test_get_daskclusters(standing):
    header, row = standing.kubectl("get", "daskclusters").splitlines()
    assert header.split()[0] == "NAME"
    assert header.split()[-1] == "AGE"
    assert row.split()[0] == NAME
    assert "Running" in row


def test_get_all_by_label_lists_what_the_page_lists(standing):
    listing = standing.kubectl("get", "all", "-l", SELECTOR)
    pods = re.findall(r"^pod/(\S+) +1/1 +Running +0 ", listing, re.MULTILINE)
    services = re.findall(r"^service/(\S+) +ClusterIP +([\d.]+) +<none> +(\S+)", listing, re.MULTILINE)
    assert len(pods) == 3
    assert f"{NAME}-scheduler" in pods
    workers = [
        pod for pod in pods if re.fullmatch(rf"{NAME}-default-worker-group-worker-[0-9a-f]{{10}}", pod)
    ]
    assert len(workers) == 2
    assert {name: ports for name, _, ports in services} == {
        f"{NAME}-service": "8786/TCP,8787/TCP",
        f"{NAME}-scheduler": "8786/TCP,8787/TCP",
    }


def test_watch_shows_a_cluster_come_and_go(kubernetes):
    with running(kubernetes, "get", "daskclusters", "-w") as lines:
        kubernetes.kubectl("apply", "-f", str(MANIFEST))
        assert line_with(lines, rf"^{NAME} .*Running").split()[0] == NAME
    with running(kubernetes, "get", "daskclusters", "-w", "--output-watch-events") as lines:
        line_with(lines, rf"^ADDED +{NAME}")
        kubernetes.kubectl("delete", "-f", str(MANIFEST))
        line_with(lines, rf"^DELETED +{NAME}")


def test_describe_tells_status_and_events(standing):
    described = standing.kubectl("describe", "daskcluster", NAME)
    assert re.search(r"Phase: +Running", described)
    assert re.search(r"Type: +SchedulerReady", described)
    assert re.search(r"Ready Workers: +2", described)
    pod = standing.kubectl("describe", "pod", f"{NAME}-scheduler")
    assert re.search(r"Controlled By: +DaskCluster/" + NAME, pod)
    assert "Scheduled" in pod
    assert "Started" in pod


def test_logs_follow(standing):
    assert "Scheduler at:" in standing.kubectl("logs", f"{NAME}-scheduler")
    worker = standing.kubectl("get", "pods", "-l", "dask.org/component=worker", "-o", "name").split()[0]
    with running(standing, "logs", "-f", worker) as lines:
        line_with(lines, "Registered to")
    assert len(standing.kubectl("logs", "--tail=1", worker).strip().splitlines()) == 1


def test_exec(standing):
    assert (
        standing.kubectl("exec", f"{NAME}-scheduler", "--", "sh", "-c", "echo out; echo err >&2")
        == "out\nerr\n"
    )
    assert standing.kubectl("exec", "-i", f"{NAME}-scheduler", "--", "cat", stdin="through\n") == "through\n"
    failed = standing.kubectl("exec", f"{NAME}-scheduler", "--", "sh", "-c", "exit 5", check=False)
    assert "exit code 5" in failed


def test_names_resolve_inside(standing):
    """A program inside connects by the name that the page uses, and by its longer forms."""
    program = "import sys, dask.distributed as d; print(d.Client(sys.argv[1]).submit(sum, [1, 2]).result())"
    for host in (
        "scheduler",
        "service",
        f"scheduler.{standing.namespace}",
        f"scheduler.{standing.namespace}.svc",
    ):
        address = f"{NAME}-{host}:8786"
        printed = standing.kubectl("exec", f"{NAME}-scheduler", "--", "python", "-c", program, address)
        assert printed.strip() == "3"


def test_scale_by_the_group_and_by_the_cluster(applied):
    applied.kubectl("scale", "--replicas=3", f"daskworkergroup/{NAME}-default")
    applied.kubectl("wait", "--for=jsonpath={.status.readyWorkers}=3", f"daskcluster/{NAME}", "--timeout=60s")
    applied.kubectl(
        "annotate", f"daskcluster/{NAME}", "touched=yes"
    )  # a reconcile of the cluster does not undo it
    applied.kubectl("scale", "--replicas=1", f"daskcluster/{NAME}")
    applied.kubectl(
        "wait", "--for=jsonpath={.status.replicas}=1", f"daskworkergroup/{NAME}-default", "--timeout=60s"
    )
    groups = json.loads(applied.kubectl("get", "daskworkergroups", "-o", "json"))["items"]
    assert [group["spec"]["worker"]["replicas"] for group in groups] == [1]


def test_scaled_group_stays_when_its_cluster_is_touched(applied):
    applied.kubectl("scale", "--replicas=3", f"daskworkergroup/{NAME}-default")
    applied.kubectl("wait", "--for=jsonpath={.status.readyWorkers}=3", f"daskcluster/{NAME}", "--timeout=60s")
    applied.kubectl("label", f"daskcluster/{NAME}", "team=blue")
    applied.kubectl("patch", "daskcluster", NAME, "--type=merge", "-p", '{"spec":{"idleTimeout":7200}}')
    observed = "--for=jsonpath={.status.observedGeneration}=2"
    applied.kubectl("wait", observed, f"daskcluster/{NAME}", "--timeout=30s")
    assert (
        applied.kubectl("get", f"daskworkergroup/{NAME}-default", "-o", "jsonpath={.spec.worker.replicas}")
        == "3"
    )


def test_wait_for_conditions(kubernetes):
    kubernetes.kubectl("apply", "-f", str(MANIFEST))
    kubernetes.kubectl("wait", "--for=condition=Ready", f"daskcluster/{NAME}", "--timeout=60s")
    kubernetes.kubectl(
        "wait", "--for=jsonpath={.status.phase}=Running", f"daskcluster/{NAME}", "--timeout=60s"
    )
    kubernetes.kubectl("delete", "daskcluster", NAME, "--wait=false")
    kubernetes.kubectl("wait", "--for=delete", f"pod/{NAME}-scheduler", "--timeout=40s")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("daskcluster", "DaskCluster"),
        ("daskcluster.spec.worker", "replicas"),
        ("daskcluster.spec.scheduler.spec.containers", "readinessProbe"),
        ("daskworkergroup.spec", "cluster"),
        ("pod.spec", "containers"),
    ],
)
def test_explain(kubernetes, path, expected):
    assert expected in kubernetes.kubectl("explain", path)


def test_apply_twice_and_changed(applied):
    """The server drops the page's `env:` without a value, so kubectl sends it again; nothing changes."""
    applied.kubectl("apply", "-f", str(MANIFEST))
    assert applied.kubectl("get", f"daskcluster/{NAME}", "-o", "jsonpath={.metadata.generation}") == "1"
    changed = yaml.safe_load(MANIFEST.read_text())
    changed["spec"]["worker"]["replicas"] = 3
    assert "configured" in applied.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(changed))
    applied.kubectl("wait", "--for=jsonpath={.status.readyWorkers}=3", f"daskcluster/{NAME}", "--timeout=60s")


def test_a_worker_that_is_deleted_comes_back_under_another_name(applied):
    select = ("get", "pods", "-l", "dask.org/component=worker", "-o", "name")
    before = applied.kubectl(*select).split()
    applied.kubectl("delete", before[0], "--wait=true")
    applied.kubectl("wait", "--for=jsonpath={.status.readyWorkers}=2", f"daskcluster/{NAME}", "--timeout=60s")
    after = applied.kubectl(*select).split()
    assert before[0] not in after
    assert before[1] in after


def test_gpu_that_is_not_there_is_said(kubernetes):
    """A worker that wants more GPUs than there are stays Pending, with the scheduler's own words."""
    manifest = yaml.safe_load(MANIFEST.read_text())
    worker = manifest["spec"]["worker"]["spec"]["containers"][0]
    worker["resources"] = {"limits": {"nvidia.com/gpu": kubernetes.gpus + 1}}
    kubernetes.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    with running(kubernetes, "get", "events", "-w") as lines:
        line_with(lines, r"FailedScheduling .*Insufficient nvidia\.com/gpu")
    kubernetes.kubectl(
        "wait", "--for=jsonpath={.status.pendingWorkers}=2", f"daskcluster/{NAME}", "--timeout=60s"
    )


def test_delete_leaves_nothing(applied):
    applied.kubectl("delete", "-f", str(MANIFEST))
    applied.kubectl("wait", "--for=delete", "pods", "-l", SELECTOR, "--timeout=60s")
    rest = applied.kubectl("get", "daskclusters,daskworkergroups,pods,services", "-l", SELECTOR, "-o", "name")
    assert rest.split() == []
