"""A machine inside this machine: namespaces with an address of their own, that leave no trace when they end.

Each lies in a slot: a number that gives it its folder, its network and its name. The lock file of a slot is
held by the machine's first process (pid1.py) for as long as it lives: a slot that is free but not empty was
left by a run that was killed.
"""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.node import host, pid1
from tests.e2e.node.commands import Failed, run, tail
from tests.e2e.node.components import Component, Site
from tests.e2e.node.places import HERE, cache

SLOTS = 8


class Machine:
    """One slot, taken.

    Attributes
    ----------
    site : Site
        Name, folder and addresses of what runs here.
    host : str
        The address of the machine outside, as seen from inside.
    """

    def __init__(self, number: int, lock: int) -> None:
        self._lock: int | None = lock
        self.number = number
        self.interface = f"dask-e2e-{number}"
        self.network = f"172.31.{254 - number}"
        self.host = f"{self.network}.1"
        self.site = Site(
            name=f"e2e-{number}",
            directory=_nodes() / str(number),
            cgroup=f"dask-gpu-k8s-e2e-{number}",
            address=f"{self.network}.2",
            external=f"{self.network}.128/25",
        )

    @classmethod
    def take(cls) -> "Machine":
        """Take a free slot, swept clean; leftovers of killed runs in other slots go too.

        Raises
        ------
        Failed
            If all slots are in use.
        """
        free = list(_free())
        for machine in free:
            machine.sweep()
        for machine in free[1:]:
            machine.release()
        if not free:
            raise Failed(f"All {SLOTS} slots in {_nodes()} are in use: python -m tests.e2e.node down --all")
        free[0].site.directory.mkdir(parents=True)
        return free[0]

    def start(self, stages: Sequence[tuple[Sequence[Component], str]], *, detached: bool) -> None:
        """Start the components, each stage when the one before answers at its address.

        Unless `detached`, all ends with this process, however that ends.
        """
        site = self.site
        (site.directory / "logs").mkdir()
        owner = None if detached else os.pidfd_open(os.getpid())
        plan: dict[str, Any] = {
            "name": site.name,
            "directory": str(site.directory),
            "cgroup": site.cgroup,
            "interface": "node0",
            "address": f"{site.address}/24",
            "gateway": self.host,
            "external": site.external,
            "environment": {"PATH": host.PATH, "HOME": str(site.directory)},
            "owner": owner,
            "stages": [{"components": list(components), "ready": ready} for components, ready in stages],
        }
        (site.directory / "plan.json").write_text(json.dumps(plan, indent=1))
        inherited = [fd for fd in (self._lock, owner) if fd is not None]
        namespaces = (
            "--mount",
            "--uts",
            "--net",
            "--pid",
            "--fork",
            "--kill-child=SIGTERM",
            "--propagation=private",
        )
        program = (sys.executable, "-I", HERE / "pid1.py", site.directory / "plan.json")
        with (site.directory / "logs" / "pid1.log").open("ab") as log:
            self._unshare = subprocess.Popen(
                ["unshare", *namespaces, *program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=inherited,
            )
        if owner is not None:
            os.close(owner)
        self.until(lambda: (site.directory / "pid").exists(), "its first process", 10)
        self._plug_in((site.directory / "pid").read_text())
        # From here on only what runs inside holds the lock: to get it again is to know that all has ended.
        self.release()

    def _plug_in(self, pid: str) -> None:
        run("ip", "link", "add", self.interface, "type", "veth", "peer", "name", "node0", "netns", pid)
        run("ip", "address", "add", f"{self.host}/24", "dev", self.interface)
        run("ip", "link", "set", self.interface, "up")
        run("ip", "route", "add", self.site.external, "via", self.site.address)

    def until(self, true: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until something is true.

        Raises
        ------
        Failed
            If a component has ended, or the time is over; with the last lines of its log.
        """
        end = time.monotonic() + seconds
        while not true():
            ended = self.ended()
            if ended or self._unshare.poll() is not None:
                raise Failed(
                    f"{ended or 'The first process'} ended while waiting for {what}:\n{self._logs(ended)}"
                )
            if time.monotonic() > end:
                raise Failed(f"No {what} after {seconds:g} s:\n{self._logs('')}")
            time.sleep(0.05)

    def ended(self) -> str:
        """Name the first component that has ended, with its exit status; empty if all run."""
        file = self.site.directory / "ended"
        return file.read_text().splitlines()[0] if file.exists() else ""

    def _logs(self, ended: str) -> str:
        files = sorted((self.site.directory / "logs").glob("*.log"))
        if ended:
            files = [file for file in files if file.stem in (ended.split()[0], "pid1")]
        lines = 30 if ended else 8
        return "\n".join(f"  {file.name}\n{tail(file.read_text(errors='replace'), lines)}" for file in files)

    def stop(self) -> None:
        """End everything inside, and wait until nothing of it is left."""
        self.release()
        _stop(self.number)

    def release(self) -> None:
        """Let go of the slot's lock, as far as this process holds it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

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


def stop_all(*, only_detached: bool) -> list[str]:
    """Stop running nodes, sweep what killed runs left, and return the names of those stopped.

    With `only_detached`, nodes that belong to a running process (a test run) stay.
    """
    for machine in _free():
        machine.sweep()
        machine.release()
    stopped = []
    for number in range(SLOTS):
        plan = _nodes() / str(number) / "plan.json"
        if plan.exists() and not (only_detached and json.loads(plan.read_text())["owner"] is not None):
            _stop(number)
            stopped.append(f"e2e-{number}")
    return stopped


def _stop(number: int) -> None:
    file = _nodes() / str(number) / "pid"
    pid = int(file.read_text()) if file.exists() else None
    for wish in (signal.SIGTERM, signal.SIGKILL):
        if pid is not None:
            _signal(pid, wish)
        lock = _lock(number, patience=20)
        if lock is not None:
            machine = Machine(number, lock)
            machine.sweep()
            machine.release()
            return
    raise Failed(f"The node in {file.parent} does not end; its first process is {pid}")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _free() -> Iterator[Machine]:
    for number in range(SLOTS):
        lock = _lock(number, patience=0)
        if lock is not None:
            yield Machine(number, lock)


def _lock(number: int, patience: float) -> int | None:
    """Take the lock of a slot, or give None if it is still held after so many seconds."""
    fd = os.open(_nodes() / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        else:
            return fd
        if time.monotonic() > end:
            os.close(fd)
            return None
        time.sleep(0.02)


def _nodes() -> Path:
    directory = cache() / "nodes"
    directory.mkdir(exist_ok=True)
    return directory
