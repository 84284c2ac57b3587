"""A machine inside this machine: namespaces with an address of their own, that end without a trace."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.e2e.node import host, slots
from tests.e2e.node.commands import Failed, run, tail
from tests.e2e.node.components import Component, Site
from tests.e2e.node.places import HERE


class Machine:
    """A machine in a slot of its own.

    Attributes
    ----------
    site : Site
        Name, folder and addresses of what runs here.
    host : str
        The address of the machine outside, as seen from inside.

    Raises
    ------
    Failed
        If all slots are in use.
    """

    def __init__(self) -> None:
        self._slot = slots.take()
        self.site: Site = self._slot.site
        self.host = self._slot.host
        self._unshare: subprocess.Popen[bytes] | None = None

    def start(self, stages: Sequence[tuple[Sequence[Component], str]], *, detached: bool) -> None:
        """Start the components, each stage when the one before answers at its address.

        Unless `detached`, all ends with this process, however that ends.
        """
        site, claimed = self.site, self._slot.claimed
        assert claimed is not None, "a machine starts once"
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
        inherited = [fd for fd in (claimed.fileno(), owner) if fd is not None]
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
        # From here on only what runs inside holds the slot: to claim it again is to know that all has ended.
        self._slot.release()

    def _plug_in(self, pid: str) -> None:
        run("ip", "link", "add", self._slot.interface, "type", "veth", "peer", "name", "node0", "netns", pid)
        run("ip", "address", "add", f"{self.host}/24", "dev", self._slot.interface)
        run("ip", "link", "set", self._slot.interface, "up")
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
            if ended or (self._unshare is not None and self._unshare.poll() is not None):
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
        self._slot.release()
        slots.stop(self.site.name)
        if self._unshare is not None:
            self._unshare.wait()
