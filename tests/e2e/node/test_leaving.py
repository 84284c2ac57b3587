"""However a run ends, nothing of its node is left, or the next run removes it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.node import ControlPlane, pid1, slots
from tests.e2e.node.places import REPOSITORY

pytestmark = pytest.mark.xdist_group("node")

# Prints its slot and the number of process 1, then waits to be ended.
RUN = """\
import signal, time
from tests.e2e.node import ControlPlane
signal.signal(signal.SIGINT, signal.default_int_handler)
with ControlPlane() as plane:
    directory = plane.machine.site.directory
    print(plane.name, (directory / "pid").read_text(), directory, flush=True)
    time.sleep(100)
"""


class Run:
    """A process with a control plane."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.name, pid, directory = self.process.stdout.readline().split()
        self.pid = int(pid)
        self.directory = Path(directory)

    def end(self, how: signal.Signals) -> None:
        """End it by a signal."""
        self.process.send_signal(how)
        self.process.communicate(timeout=20)

    def traces(self) -> list[str]:
        """Give what is left of it on this machine."""
        number = self.name.rpartition("-")[2]
        link = Path(f"/sys/class/net/dask-node-{number}")
        cgroups = pid1.cgroups(f"dask-gpu-k8s-node-{number}")
        paths = [self.directory, Path(f"/proc/{self.pid}"), link, *cgroups]
        mounts = Path("/proc/self/mountinfo").read_text()
        return [str(path) for path in paths if path.exists()] + [self.name] * (str(self.directory) in mounts)


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_trace_is_left_by_a_run_that_ends_by(how: signal.Signals) -> None:
    run = Run()
    assert len(run.traces()) > 3
    run.end(how)
    until(lambda: not run.traces())


def test_what_is_left_when_all_is_killed_is_removed_by_the_next_run() -> None:
    run = Run()
    os.kill(run.pid, signal.SIGSTOP)  # so that it cannot clean up behind its owner
    run.end(signal.SIGKILL)
    assert len(run.traces()) > 3
    os.kill(run.pid, signal.SIGKILL)
    # Until also its parent has ended, the slot is in use and nobody clears it.
    slot = slots.Slot.claim(int(run.name.rpartition("-")[2]), slots.PATIENCE)
    assert slot is not None
    slot.release()
    with ControlPlane() as plane:
        if plane.name != run.name:  # Another that starts just now may be at it.
            until(lambda: not run.traces())
        assert plane.api.get("/version")["major"] == "1"
    assert not run.traces()


def test_two_run_side_by_side() -> None:
    run = Run()
    with ControlPlane() as plane:
        assert plane.name != run.name
        assert run.name not in slots.detached()
    assert len(run.traces()) > 3
    run.end(signal.SIGKILL)
