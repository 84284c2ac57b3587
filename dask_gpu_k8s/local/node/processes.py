"""Processes of containers: started in a session of their own, their end reported, and nothing of them left.

A container's processes are known by a variable in their environment, whoever their parent became.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class Signal:
    """Wakes everyone who waits at the moment it is given."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def give(self) -> None:
        """Wake who waits now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Wait for the next time it is given."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


@dataclass
class Process:
    """A process that was started here.

    Attributes
    ----------
    pid : int
    marker : str
        ``NAME=value`` in the environment of everything that belongs to it.
    ended : asyncio.Future of int
        Its exit code, or minus the signal that killed it.
    """

    pid: int
    marker: str
    ended: asyncio.Future[int]
    _popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def send(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill_group(self) -> None:
        """Kill the process and those of its group."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill the process and everything that it ever started."""
        self.send(signal.SIGKILL)
        _kill(marked(self.marker))


class Processes:
    """All processes of a node; learns of their ends from SIGCHLD.

    Only for the main thread, and only where nobody else waits for children.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, Process] = {}
        self._reaped = Signal()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_signal_handler(signal.SIGCHLD)

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str,
        marker: str,
        files: tuple[int, int, int],
    ) -> Process:
        """Start a command in a session of its own.

        Parameters
        ----------
        command : sequence of str
        env : mapping of str to str
            Its whole environment; the command is looked up in this ``PATH``.
        cwd : path
        marker : str
            ``NAME=value``, part of `env`.
        files : three int
            Descriptors for standard input, output and error.

        Raises
        ------
        OSError
            If it cannot be started.
        """
        stdin, stdout, stderr = files
        popen = subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        return self._add(Process(popen.pid, marker, self._loop.create_future(), popen))

    def start_on_terminal(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path | str, marker: str, terminal: str
    ) -> Process:
        """Start a command whose session is led from a terminal, given by the path of its device."""
        # A session leader that opens a terminal gets it as its own, and posix_spawn makes the session first.
        opened = [(os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0)]
        doubled = [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        there = ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(cwd), *command]
        pid = os.posix_spawn("/bin/sh", there, dict(env), file_actions=opened + doubled, setsid=True)
        return self._add(Process(pid, marker, self._loop.create_future()))

    def _add(self, process: Process) -> Process:
        self._running[process.pid] = process
        return process

    async def clear(self, process: Process) -> None:
        """Kill what a process that has just ended left behind, and wait until the kernel is rid of it.

        What was killed keeps its GPUs, memory and ports for a while, in which its environment is gone.
        """
        left: set[int] = set()
        while left := {*marked(process.marker), *_remaining(process.pid, left)}:
            _kill(left)
            await self._reaped.wait()

    def _reap(self) -> None:
        """Take note of every child that ended; orphans of containers are children here as well."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._reaped.give()
                if pid in self._running:
                    self._end(pid, os.waitstatus_to_exitcode(status))

    def _end(self, pid: int, code: int) -> None:
        process = self._running.pop(pid)
        if process._popen is not None:
            process._popen.returncode = code
        if not process.ended.done():
            process.ended.set_result(code)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _remaining(session: int, known: set[int]) -> Iterator[int]:
    """Find the processes of a session, and those of the known ones that there still are."""
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(ProcessLookupError):
            if pid in known or os.getsid(pid) == session:
                yield pid


def marked(marker: str) -> Iterator[int]:
    """Find processes by a ``NAME=value`` in the environment they were started with."""
    wanted = marker.encode() + b"\0"
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as file:
                if wanted in file.read():
                    yield int(entry)
