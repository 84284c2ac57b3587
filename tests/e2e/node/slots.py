"""Slots: numbers that give each machine its folder, name, cable and network; so several run side by side.

A slot is claimed by an abstract socket of a fixed name. The kernel gives it to one claimant of this machine,
and frees it when the last process that holds it has ended: the machine's first process (pid1.py) holds it as
long as it lives. So what is there in a slot that is free was left by a run that was killed.
"""

import errno
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.node import pid1
from tests.e2e.node.commands import Failed, run
from tests.e2e.node.components import Site
from tests.e2e.node.places import cache

SLOTS = 16
PATIENCE = 20.0  # seconds for a machine to end, after each of two signals


class Slot:
    """One slot, claimed until `release`; `Slot.claim` makes it.

    Attributes
    ----------
    site : Site
        Name, folder and addresses of what runs here.
    host : str
        The address of the machine outside, as seen from inside.
    interface : str
        The outer end of the cable.
    """

    def __init__(self, number: int, claim: socket.socket) -> None:
        network = f"172.31.{246 - number}"
        self.claimed: socket.socket | None = claim
        self.number = number
        self.interface = f"dask-node-{number}"
        self.host = f"{network}.1"
        self.site = Site(
            name=name_of(number),
            directory=_directory(number),
            cgroup=f"dask-gpu-k8s-node-{number}",
            address=f"{network}.2",
            external=f"{network}.128/25",
        )

    @classmethod
    def claim(cls, number: int, patience: float = 0) -> "Slot | None":
        """Claim a slot, or give None if it is still in use after so many seconds."""
        claim = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + patience
        while True:
            try:
                claim.bind(f"\0dask-gpu-k8s-{name_of(number)}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return cls(number, claim)
            if time.monotonic() > end:
                claim.close()
                return None
            time.sleep(0.02)  # the kernel wakes nobody up when a name gets free

    def release(self) -> None:
        """Let go, as far as this process is concerned; what runs inside still holds it."""
        if self.claimed is not None:
            self.claimed.close()
            self.claimed = None

    def sweep(self) -> None:
        """Remove what a killed run left in this slot."""
        if Path(f"/sys/class/net/{self.interface}").exists():
            # A machine that has just ended takes its end of the cable along by itself.
            run("ip", "link", "delete", self.interface, check=False)
        for cgroup in pid1.cgroups(self.site.cgroup):
            for file in cgroup.rglob("cgroup.procs"):
                for pid in file.read_text().split():
                    _signal(int(pid), signal.SIGKILL)
        pid1.remove_cgroups(self.site.cgroup)
        for point in reversed(pid1.mount_points(self.site.directory)):
            run("umount", "--lazy", point)
        shutil.rmtree(self.site.directory, ignore_errors=True)


def take() -> Slot:
    """Take a free slot, swept clean; leftovers of killed runs in other slots go too.

    Raises
    ------
    Failed
        If all slots are in use.
    """
    taken = None
    for slot in free():
        if taken is None:
            taken = slot
        else:
            slot.release()
    if taken is None:
        raise Failed(f"All {SLOTS} slots are in use; stop some: python -m tests.e2e.node down --all")
    taken.site.directory.mkdir(parents=True)
    return taken


def free() -> Iterator[Slot]:
    """Claim the free slots one after the other, each swept clean."""
    for number in range(SLOTS):
        slot = Slot.claim(number)
        if slot is not None:
            slot.sweep()
            yield slot


def detached() -> list[str]:
    """Name the running nodes that belong to no process: those of ``up``."""
    for slot in free():
        slot.release()
    plans = [_directory(number) / "plan.json" for number in range(SLOTS)]
    running = [plan for plan in plans if plan.exists() and json.loads(plan.read_text())["owner"] is None]
    return [name_of(int(plan.parent.name)) for plan in running]


def stop(name: str) -> None:
    """End what runs in the slot of this name, and wait until nothing of it is left.

    Raises
    ------
    Failed
        If it does not end.
    """
    number = int(name.rpartition("-")[2])
    file = _directory(number) / "pid"
    for wish in (signal.SIGTERM, signal.SIGKILL):
        if file.exists():
            _signal(int(file.read_text()), wish)
        slot = Slot.claim(number, PATIENCE)
        if slot is not None:
            slot.sweep()
            slot.release()
            return
    raise Failed(f"The node {name} does not end; the number of its first process is in {file}")


def name_of(number: int) -> str:
    """Give the name of a slot, which is the name of its node too."""
    return f"e2e-{number}"


def _directory(number: int) -> Path:
    return cache() / "slots" / str(number)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
