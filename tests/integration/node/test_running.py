"""Pods run, end, are restarted and leave logs, as on any node."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import termios
import time

import pytest

from tests.integration.node.conftest import pod, python

SUCCEEDED = "{.status.phase}=Succeeded"
FAILED = "{.status.phase}=Failed"
LOOPING = "{.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff"


def test_run_to_completion(cluster):
    cluster.run("sh", "-c", "echo out; echo err >&2", restartPolicy="Never")
    cluster.wait(SUCCEEDED)
    assert cluster.kubectl("logs", "p") == "out\nerr\n"
    state = cluster.get("p")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (0, "Completed")
    reasons = [reason for reason, _ in cluster.events()]
    assert reasons == ["Scheduled", "ImageNotPulled", "Created", "Started"]


def test_exit_codes_and_signals(cluster):
    cluster.run("sh", "-c", "exit 3", name="three", restartPolicy="Never")
    cluster.run("sh", "-c", "kill -9 $$$$", name="killed", restartPolicy="Never")
    for name, code, signal in (("three", 3, None), ("killed", 137, 9)):
        cluster.wait(FAILED, name)
        state = cluster.get(name)["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (state["exitCode"], state.get("signal"), state["reason"]) == (code, signal, "Error")


def test_crash_loop(cluster):
    cluster.run("sh", "-c", "echo $LOCAL_KUBERNETES_RUN; exit 1")
    cluster.wait(LOOPING)
    status = cluster.get("p")["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=c pod=p_"
    )
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert "BackOff" in dict(cluster.events())
    assert cluster.kubectl("logs", "p") == cluster.kubectl("logs", "p", "--previous") != ""


def test_previous_log(cluster):
    cluster.run("sh", "-c", "test -e $HOME/../mark && exec sleep 60; touch $HOME/../mark; echo first; exit 1")
    cluster.wait("{.status.containerStatuses[0].restartCount}=1")
    cluster.wait("Ready")
    assert cluster.kubectl("logs", "p", "--previous") == "first\n"
    assert cluster.kubectl("logs", "p") == ""


def test_parts_of_a_log(cluster):
    cluster.run("sh", "-c", "echo a; echo b; echo c", restartPolicy="Never")
    cluster.wait(SUCCEEDED)
    assert cluster.kubectl("logs", "p", "--tail=2") == "b\nc\n"
    assert cluster.kubectl("logs", "p", "--since=1h") == "a\nb\nc\n"
    first = cluster.kubectl("logs", "p", "--timestamps").splitlines()[0]
    assert first.split()[1] == "a"
    assert first.split()[0].endswith("Z")


def test_follow_ends_with_the_container(cluster):
    cluster.run(*python("import time\nfor n in range(3): print(n); time.sleep(0.2)"), restartPolicy="Never")
    cluster.wait("{.status.containerStatuses[0].state}")
    assert cluster.kubectl("logs", "-f", "p") == "0\n1\n2\n"


def test_init_containers_run_in_order_before_the_others(cluster):
    def step(name, text):
        return {"name": name, "image": "image", "command": ["sh", "-c", f"echo {text} >> $HOME/../order"]}

    spec = {
        "restartPolicy": "Never",
        "initContainers": [step("one", 1), step("two", 2)],
        "containers": [{"name": "c", "image": "image", "command": ["sh", "-c", "cat $HOME/../order"]}],
    }
    cluster.apply(pod("p", spec))
    cluster.wait(SUCCEEDED)
    assert cluster.kubectl("logs", "p", "-c", "c") == "1\n2\n"


def test_failed_init_container_keeps_the_pod_from_starting(cluster):
    spec = {
        "restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "image", "command": ["false"]}],
        "containers": [{"name": "c", "image": "image", "command": ["true"]}],
    }
    cluster.apply(pod("p", spec))
    cluster.wait(FAILED)
    assert cluster.kubectl("get", "pod", "p").splitlines()[1].split()[2] == "Init:Error"


SECRET = {"envFrom": [{"secretRef": {"name": "s"}}]}
CANNOT_START = {
    "program": (["no-such-program"], {}, 'exec: "no-such-program": executable file not found in $PATH'),
    "command": ([], {}, "no command specified"),
    "secret": (["true"], SECRET, 'secret "s" not found'),
}


@pytest.mark.parametrize(("command", "more", "message"), CANNOT_START.values(), ids=CANNOT_START)
def test_what_cannot_start_says_why(cluster, command, more, message):
    cluster.run(*command, container=more)
    cluster.wait("{.status.containerStatuses[0].state.waiting.message}")
    assert message in str(cluster.get("p")["status"]["containerStatuses"][0])
    assert any(reason == "Failed" and message in text for reason, text in cluster.events())


def test_unsupported_is_refused_with_the_reason(cluster):
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/config"}]}
    cluster.run("true", container=mount, volumes=[{"name": "v", "emptyDir": {}}])
    cluster.wait("{.status.containerStatuses[0].state.waiting.reason}=CreateContainerError")
    assert "volume v cannot be mounted at /config" in dict(cluster.events())["Failed"]


MOUNTED = {"volumeMounts": [{"name": "keys", "mountPath": "/etc/keys"}]}
KEYS = [{"name": "keys", "secret": {"secretName": "s", "items": [{"key": "KEY", "path": "in/key"}]}}]


def test_a_secret_is_mounted_as_files_once_it_is_there(cluster):
    words = ["sh", "-c", "cat /etc/keys/in/key $FILE; ls /etc/keys/in", "sh", "/etc/keys"]
    env = [{"name": "FILE", "value": "/etc/keys/in/key"}]
    cluster.run(*words, container={**MOUNTED, "env": env}, volumes=KEYS, restartPolicy="Never")
    cluster.wait("{.status.containerStatuses[0].state.waiting.reason}=ContainerCreating")
    message = 'MountVolume.SetUp failed for volume "keys" : secret "s" not found'
    assert ("FailedMount", message) in cluster.events()
    data = {"KEY": "value ", "OTHER": "not asked for"}
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": data})
    cluster.wait(SUCCEEDED)
    assert cluster.kubectl("logs", "p") == "value value key\n"


def test_commands_beside_a_container_see_its_secret(cluster):
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"KEY": "value"}}
    )
    probe = {"readinessProbe": {"exec": {"command": ["test", "-s", "/etc/keys/in/key"]}, "periodSeconds": 1}}
    cluster.run("sleep", "60", container={**MOUNTED, **probe}, volumes=KEYS)
    cluster.wait("Ready")
    assert cluster.kubectl("exec", "p", "--", "cat", "/etc/keys/in/key") == "value"


def test_a_missing_secret_may_come_later(cluster):
    cluster.run(
        "sh", "-c", "echo $KEY", container={"envFrom": [{"secretRef": {"name": "s"}}]}, restartPolicy="Never"
    )
    cluster.wait("{.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError")
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"KEY": "value"}}
    )
    cluster.wait(SUCCEEDED)
    assert cluster.kubectl("logs", "p") == "value\n"


def test_environment(cluster):
    env = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "BOTH", "value": "$(NAME) at $(IP)"},
    ]
    cluster.run("sh", "-c", 'echo "$0"; hostname=$HOSTNAME; echo $hostname; kubectl get pods -o name',
                "$(BOTH)", container={"env": env}, restartPolicy="Never")  # fmt: skip
    cluster.wait(SUCCEEDED)
    address = cluster.get("p")["status"]["podIP"]
    assert cluster.kubectl("logs", "p").splitlines() == [f"p at {address}", "p", "pod/p"]


def test_readiness(cluster):
    probe = {"exec": {"command": ["test", "-e", "ready"]}, "periodSeconds": 1}
    cluster.run("sleep", "60", container={"readinessProbe": probe})
    cluster.wait("{.status.phase}=Running")
    condition = {each["type"]: each for each in cluster.get("p")["status"]["conditions"]}["Ready"]
    assert condition["message"] == "containers with unready status: [c]"
    cluster.kubectl("exec", "p", "--", "touch", "ready")
    cluster.wait("Ready")


def test_liveness_restarts(cluster):
    probe = {"exec": {"command": ["sh", "-c", "test ! -e sick"]}, "periodSeconds": 1, "failureThreshold": 1}
    cluster.run("sleep", "60", container={"livenessProbe": probe})
    cluster.wait("Ready")
    cluster.kubectl("exec", "p", "--", "touch", "sick")
    cluster.wait("{.status.containerStatuses[0].restartCount}=1")
    events = dict(cluster.events())
    assert events["Killing"] == "Container c failed liveness probe, will be restarted"
    assert "Liveness probe failed" in events["Unhealthy"]


def test_startup_holds_the_other_probes_back(cluster):
    startup = {"exec": {"command": ["test", "-e", "up"]}, "periodSeconds": 1, "failureThreshold": 30}
    liveness = {"exec": {"command": ["test", "-e", "up"]}, "periodSeconds": 1, "failureThreshold": 1}
    cluster.run("sh", "-c", "sleep 2; touch up; sleep 60",
                container={"startupProbe": startup, "livenessProbe": liveness})  # fmt: skip
    cluster.wait("Ready")
    assert cluster.get("p")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_sigterm_then_sigkill_after_the_grace_period(cluster):
    cluster.run("sh", "-c", "trap 'echo terminated' TERM; while true; do sleep 0.1; done")
    cluster.wait("Ready")
    begin = time.monotonic()
    cluster.kubectl("delete", "pod", "p", "--grace-period=2")
    assert 1.5 < time.monotonic() - begin < 6


def test_pre_stop_runs_before_sigterm(cluster, tmp_path):
    trace = tmp_path / "trace"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", f"echo hook >> {trace}"]}}}
    script = f"trap 'echo term >> {trace}; exit' TERM; while true; do sleep 0.05; done"
    cluster.run("sh", "-c", script, container={"lifecycle": hook})
    cluster.wait("Ready")
    cluster.kubectl("delete", "pod", "p")
    assert trace.read_text().split() == ["hook", "term"]


def test_background_processes_end_with_their_container(cluster, tmp_path):
    pid = tmp_path / "pid"
    cluster.run("sh", "-c", f"setsid sleep 600 & echo $! > {pid}; sleep 0.2", restartPolicy="Never")
    cluster.wait(SUCCEEDED)
    assert not _alive(int(pid.read_text()))


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_next_run_begins_when_nothing_of_the_last_one_is_left(cluster, tmp_path):
    """What is killed holds memory, GPUs and ports until the kernel has taken it down, here a while."""
    last = tmp_path / "last"
    much = """
        import mmap, os

        memory = mmap.mmap(-1, 2**30)
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        memory[:: mmap.PAGESIZE] = bytes(len(memory) // mmap.PAGESIZE)
        os.write(1, b"%d" % os.getpid())
        os.close(1)
        os.read(0, 1)
    """
    child = shlex.join(python(much))
    command = f"""
        if read pid < {last}; then kill -0 $pid && echo there || echo gone; exit 0; fi
        mkfifo never
        pid=$({child} <>never 2>/dev/null &)
        echo $pid > {last}
        exit 1
    """
    cluster.run("bash", "-c", command, restartPolicy="OnFailure")
    cluster.wait(SUCCEEDED)
    assert cluster.kubectl("logs", "p").splitlines()[-1] == "gone"


def test_exec(cluster):
    cluster.run("sleep", "60")
    cluster.wait("Ready")
    both = cluster.kubectl("exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert "out\n" in both
    assert "err\n" in both
    assert "exit code 7" in both
    assert cluster.kubectl("exec", "-i", "p", "--", "wc", "-c", stdin="x" * 100_000).strip() == "100000"
    assert "executable file not found" in cluster.kubectl("exec", "p", "--", "no-such-program", check=False)


# The second shell is not interactive: an interactive one makes each command the terminal's foreground group,
# and a Ctrl-C that comes when such a command has just ended reaches nobody.
ON_TERMINAL = b"""\
until test $(stty size | cut -c1-2) = 33; do :; done; \
exec sh -c 'trap "exit 3" INT; tty; while :; do sleep 0.1; done'
"""


def test_exec_on_a_terminal(cluster):
    cluster.run("sleep", "60")
    cluster.wait("Ready")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    shell = subprocess.Popen(
        cluster.command("exec", "-it", "p", "--", "sh"),
        stdin=theirs, stdout=theirs, stderr=theirs, env=cluster.environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    with open(ours, "r+b", buffering=0) as terminal:
        terminal.write(ON_TERMINAL)
        seen = _read_until(terminal, rb"/dev/pts/\d+\r\n")
        assert b"not a tty" not in seen
        terminal.write(b"\x03")
        assert shell.wait(10) == 3


def _read_until(terminal, pattern: bytes) -> bytes:
    seen = b""
    while not re.search(pattern, seen):
        seen += terminal.read(4096)
    return seen


def test_deadline(cluster):
    cluster.run("sleep", "60", activeDeadlineSeconds=1)
    cluster.wait(FAILED)
    assert cluster.get("p")["status"]["reason"] == "DeadlineExceeded"
