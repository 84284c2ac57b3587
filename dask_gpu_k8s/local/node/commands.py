"""Commands run beside a container, with pipes or on a terminal: what ``kubectl exec`` asks for."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import itertools
import os
import pty
import struct
import termios
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from collections.abc import Sequence

from dask_gpu_k8s.local.node.launch import Launch
from dask_gpu_k8s.local.node.processes import Process, Processes
from dask_gpu_k8s.local.streams import ExecOptions

_EXEC = "LOCAL_KUBERNETES_EXEC"
_numbers = itertools.count(1)


class Command:
    """A command that runs; see `dask_gpu_k8s.local.streams.ExecProcess`."""

    def __init__(self, process: Process, terminal: int | None = None) -> None:
        self.stdin: StreamWriter | None = None
        self.stdout: StreamReader | None = None
        self.stderr: StreamReader | None = None
        self._process = process
        self._terminal = terminal
        self._readers: list[asyncio.BaseTransport] = []

    async def wait(self) -> int:
        """Wait for the end; return the exit code."""
        code = await asyncio.shield(self._process.ended)
        return 128 - code if code < 0 else code

    def resize(self, width: int, height: int) -> None:
        """Tell the terminal its size in characters."""
        if self._terminal is not None:
            size = struct.pack("HHHH", height, width, 0, 0)
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def kill(self) -> None:
        """End the command and all it started, and close its streams."""
        self._process.kill_all()
        if self.stdin is not None:
            self.stdin.close()
        for transport in self._readers:
            transport.close()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    async def read_from(self, file: int) -> StreamReader:
        """Make a reader of a descriptor, which it closes."""
        reader = StreamReader()
        pipe = os.fdopen(file, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: _ReaderProtocol(reader), pipe
        )
        self._readers.append(transport)
        return reader

    async def write_to(self, file: int) -> None:
        """Make standard input of a descriptor, which it closes."""
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(file, "wb", buffering=0)
        transport, protocol = await loop.connect_write_pipe(
            lambda: StreamReaderProtocol(StreamReader()), pipe
        )
        self.stdin = StreamWriter(transport, protocol, None, loop)


class _ReaderProtocol(StreamReaderProtocol):
    """Takes the error that a terminal gives when nobody holds it any more for what it is: the end."""

    def connection_lost(self, error: Exception | None) -> None:
        ended = isinstance(error, OSError) and error.errno == errno.EIO
        super().connection_lost(None if ended else error)


async def start_command(
    processes: Processes, launch: Launch, command: Sequence[str], options: ExecOptions
) -> Command:
    """Start a command with the environment and folder of a container.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    mark = f"{_EXEC}={next(_numbers)}-{os.getpid()}"
    env = {**launch.env, _EXEC: mark.partition("=")[2]}
    beside = Launch(launch.beside(command), env, launch.cwd, mark)
    if options.tty:
        return await _on_terminal(processes, beside, options)
    return await _with_pipes(processes, beside, options)


async def _on_terminal(processes: Processes, launch: Launch, options: ExecOptions) -> Command:
    leader, follower = pty.openpty()
    try:
        process = processes.start_on_terminal(
            launch.command,
            env={"TERM": "xterm", **launch.env},
            cwd=launch.cwd,
            marker=launch.marker,
            terminal=os.ttyname(follower),
        )
    except OSError:
        os.close(leader)
        raise
    finally:
        os.close(follower)
    running = Command(process, leader)
    running.stdout = await running.read_from(os.dup(leader))
    if options.stdin:
        await running.write_to(os.dup(leader))
    return running


async def _with_pipes(processes: Processes, launch: Launch, options: ExecOptions) -> Command:
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:

        def pipe(mine: int) -> tuple[int, int]:
            """Make a pipe; return the end that stays here (0 or 1) and the other."""
            ends = os.pipe()
            ours.callback(os.close, ends[mine])
            theirs.callback(os.close, ends[1 - mine])
            return ends[mine], ends[1 - mine]

        nothing = os.open(os.devnull, os.O_RDWR)
        theirs.callback(os.close, nothing)
        to_stdin, stdin = pipe(1) if options.stdin else (-1, nothing)
        from_stdout, stdout = pipe(0) if options.stdout else (-1, nothing)
        from_stderr, stderr = pipe(0) if options.stderr else (-1, nothing)
        process = processes.start(
            launch.command,
            env=launch.env,
            cwd=launch.cwd,
            marker=launch.marker,
            files=(stdin, stdout, stderr),
        )
        ours.pop_all()
    running = Command(process)
    if options.stdin:
        await running.write_to(to_stdin)
    if options.stdout:
        running.stdout = await running.read_from(from_stdout)
    if options.stderr:
        running.stderr = await running.read_from(from_stderr)
    return running
