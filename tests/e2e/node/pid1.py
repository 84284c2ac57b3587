"""The first process inside the node's namespaces: it starts the components, reaps, and leaves nothing behind.

Run as a program of its own (``python pid1.py PLAN.json``), with the standard library alone. It ends, and all
in the namespaces with it, when it is told to (SIGTERM) or when the process that owns the node is gone, for
whatever reason: the plan names a descriptor (a pidfd) that becomes readable then.
"""

import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


class Leave(Exception):
    """It is time to end."""


class Init:
    """What process 1 does, by the plan that machine.py wrote."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.directory = Path(plan["directory"])
        self.names: dict[int, str] = {}
        self.woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake)
        self.ending = False
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.watched = [self.woken, *([plan["owner"]] if plan["owner"] is not None else [])]

    def end(self, *_: object) -> None:
        self.ending = True

    def run(self) -> None:
        try:
            self.mount()
            self.until(self.is_connected)
            self.connect()
            for stage in self.plan["stages"]:
                for component in stage["components"]:
                    self.start(component)
                self.until(partial(answers, stage["ready"]))
            while True:
                self.rest(None)
        except Leave:
            pass
        finally:
            self.clean()

    def mount(self) -> None:
        """Keep from the machine what the components write at paths that cannot be configured."""
        # In the old /proc, where this process is known by the number that the machine gave it.
        (self.directory / "pid.partial").write_text(os.readlink("/proc/self"))
        (self.directory / "pid.partial").rename(self.directory / "pid")
        command("mount", "-t", "proc", "proc", "/proc")
        command("mount", "--make-rshared", "/")  # as the kubelet wants it; shared with nobody outside
        command("mount", "-t", "tmpfs", "tmpfs", "/run")
        for path in ("/var/lib", "/var/log"):
            upper, work = Path(f"/run/over{path}/upper"), Path(f"/run/over{path}/work")
            upper.mkdir(parents=True)
            work.mkdir()
            command(
                "mount",
                "-t",
                "overlay",
                "overlay",
                path,
                "-o",
                f"lowerdir={path},upperdir={upper},workdir={work}",
            )
        socket.sethostname(self.plan["name"])
        create_cgroups(self.plan["cgroup"])

    def is_connected(self) -> bool:
        return self.plan["interface"] in (name for _, name in socket.if_nameindex())

    def connect(self) -> None:
        interface = self.plan["interface"]
        command("ip", "link", "set", "lo", "up")
        command("ip", "address", "add", self.plan["address"], "dev", interface)
        command("ip", "link", "set", interface, "up")
        # Service addresses are reached only with a default route, even one that leads nowhere.
        command("ip", "route", "add", "default", "via", self.plan["gateway"])
        # An address of a load balancer that no Service has: refused at once, not sent back and forth.
        command("ip", "route", "add", "unreachable", self.plan["external"])
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def start(self, component: dict[str, Any]) -> None:
        name = component["name"]
        with (self.directory / "logs" / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                component["argv"],
                cwd=component.get("cwd", self.directory),
                env=self.plan["environment"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.names[child.pid] = name
        child.returncode = 0  # reaped below with all others, not by this object

    def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self.rest(0.05)

    def rest(self, seconds: "float | None") -> None:
        """Wait for a child's end, the owner's end, SIGTERM, or the time."""
        readable, _, _ = select.select(self.watched, [], [], seconds)
        if self.woken in readable:
            os.read(self.woken, 4096)
        self.reap()
        if self.ending or any(fd != self.woken for fd in readable):
            raise Leave

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.names:
                with (self.directory / "ended").open("a") as file:
                    file.write(f"{self.names.pop(pid)} {os.waitstatus_to_exitcode(status)}\n")

    def clean(self) -> None:
        """End everything and remove what would outlive the namespaces: the state on disk and the cgroups."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            os.kill(-1, signal.SIGKILL)
            while True:
                os.wait()
        except (ChildProcessError, ProcessLookupError):
            pass
        for point in reversed(mount_points(self.directory)):
            subprocess.run(["umount", "--lazy", point], check=False)
        remove_cgroups(self.plan["cgroup"])
        shutil.rmtree(self.directory, ignore_errors=True)


def command(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def answers(url: str) -> bool:
    """Whether this address answers 200, whoever signed its certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def mount_points(directory: Path) -> list[str]:
    """Give what is mounted below a folder, as this process sees it, outermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if point.startswith(f"{directory}/")]


def cgroups(name: str) -> list[Path]:
    """Give the cgroup of this name in every hierarchy (version 1), or the one there is (version 2)."""
    root = Path("/sys/fs/cgroup")
    return [path for path in (root / name, *root.glob(f"*/{name}")) if path.exists()]


def create_cgroups(name: str) -> None:
    """Make the cgroup below which the kubelet puts its Pods; it wants every controller there."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        controllers = (root / "cgroup.controllers").read_text().split()
        (root / "cgroup.subtree_control").write_text(" ".join(f"+{one}" for one in controllers))
        (root / name).mkdir(exist_ok=True)
        return
    for hierarchy in root.iterdir():  # some are links to others
        (hierarchy / name).mkdir(exist_ok=True)
        for given in hierarchy.glob("cpuset.[cm][pe][um]s"):  # cpus and mems, empty in a new one
            (hierarchy / name / given.name).write_text(given.read_text())


def remove_cgroups(name: str) -> None:
    """Remove the cgroups of this name with all below them; no process may be left in them."""
    for top in cgroups(name):
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(directory)
            except OSError as error:
                print(f"cgroup {directory} stays: {error}", flush=True)


if __name__ == "__main__":
    Init(json.loads(Path(sys.argv[1]).read_text())).run()
