"""Nothing of a local Kubernetes stays: no process, no socket, no file, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dask_gpu_k8s.local import LocalKubernetes, LocalKubernetesError

STUBBORN = "trap '' TERM; (setsid sleep 600 &); env -i setsid sleep 600 & while true; do sleep 1; done"


def manifests(trace: Path):
    """Make a Pod that resists, and writes the ids of all its processes."""
    script = f"echo $$ > {trace}; {STUBBORN}"
    spec = {"containers": [{"name": "c", "image": "image", "command": ["sh", "-c", script]}]}
    return [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}]


def family(root: int) -> set[int]:
    """Find a process and everything below it or of its session."""
    parents, found = {}, {root}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry)] = int(fields[1])
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(test, seconds=15.0) -> bool:
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def started(trace: Path, watchdog: int) -> set[int]:
    """Wait until the Pod and its three children run; return every process of this Kubernetes."""
    assert eventually(lambda: trace.exists() and trace.read_text().strip())
    # watchdog, server, shell, two daemons and the shell's own sleep
    assert eventually(lambda: len(family(watchdog)) >= 6)
    return family(watchdog)


def port_of(kubernetes: LocalKubernetes) -> int:
    return int(kubernetes.server.rpartition(":")[2])


def listening(port: int) -> bool:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("victim", ["nobody", "server", "watchdog"])
def test_nothing_stays(tmp_path, trace, victim):
    kubernetes = LocalKubernetes(manifests(trace), directory=tmp_path, kubeconfig=tmp_path / "config").start()
    watchdog = parent_of(kubernetes.pid)
    everything = started(trace, watchdog)
    port = port_of(kubernetes)
    assert (tmp_path / "config").stat().st_mode & 0o777 == 0o600
    if victim != "nobody":
        os.kill({"server": kubernetes.pid, "watchdog": watchdog}[victim], signal.SIGKILL)
    else:
        kubernetes.stop()
    assert eventually(lambda: not any(map(alive, everything)))
    assert not listening(port)
    kubernetes.stop()
    left = {path.name for path in tmp_path.iterdir()} - {"pid"}
    assert left == (set() if victim != "watchdog" else left & {"config"})


OWNER = """
import json, os, sys, time
from dask_gpu_k8s.local import LocalKubernetes
kubernetes = LocalKubernetes(json.loads(sys.argv[1]), directory=sys.argv[2]).start()
print(kubernetes.pid, flush=True)
if os.fork() == 0:
    time.sleep(20)  # a child that holds all of its parent's pipes
    os._exit(0)
time.sleep(60)
"""


def test_it_ends_with_its_owner(tmp_path, trace):
    command = [sys.executable, "-c", OWNER, json.dumps(manifests(trace)), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        everything = started(trace, parent_of(int(owner.stdout.readline())))
        fork = (family(owner.pid) - everything - {owner.pid}).pop()
        owner.kill()
        assert eventually(lambda: not any(map(alive, everything)))
        assert alive(fork)
        os.kill(fork, signal.SIGKILL)
    assert {path.name for path in tmp_path.iterdir()} == {"pid"}


def test_ctrl_c_is_for_the_caller_alone(tmp_path):
    command = [
        sys.executable,
        "-m",
        "dask_gpu_k8s.local",
        "--no-operator",
        "--kubeconfig",
        str(tmp_path / "config"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as program:
        assert program.stdout.readline() == f"export KUBECONFIG={tmp_path / 'config'}\n"
        os.killpg(program.pid, signal.SIGINT)
        assert program.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_do_not_meet(tmp_path):
    with LocalKubernetes(directory=tmp_path) as one, LocalKubernetes(directory=tmp_path) as two:
        assert one.server != two.server
        assert one.kubeconfig != two.kubeconfig
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_said():
    with LocalKubernetes() as one, pytest.raises(LocalKubernetesError, match="address already in use"):
        LocalKubernetes(port=port_of(one)).start()


def test_a_manifest_that_is_refused_is_named():
    bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Upper"}, "spec": {"containers": []}}
    with pytest.raises(LocalKubernetesError, match="Pod Upper"):
        LocalKubernetes([bad]).start()


def test_other_systems_get_a_clear_message(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LocalKubernetesError, match="needs Linux, and this is darwin"):
        LocalKubernetes().start()
