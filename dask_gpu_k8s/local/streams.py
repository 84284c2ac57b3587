"""What the API server asks the node for: logs, exec and connections into a Pod. The node implements it.

Every method may raise `dask_gpu_k8s.local.errors.StatusError` before it yields anything; the server sends
that as the answer.
"""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from dask_gpu_k8s.api.types import Manifest


@dataclass(frozen=True)
class LogOptions:
    """Which part of a container's log is wanted, as in the query of ``pods/log``.

    Attributes
    ----------
    follow : bool
        Go on until the container has ended.
    previous : bool
        The log of the container's run before this one.
    timestamps : bool
        Put an RFC 3339 time before each line.
    tail : int or None
        Only this many lines from the end.
    since_seconds : int or None
        Only lines of the last so many seconds.
    limit_bytes : int or None
        Stop after this many bytes.
    """

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    since_seconds: int | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True)
class ExecOptions:
    """Which standard streams of a command are wanted, and whether on a terminal."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class ExecProcess(Protocol):
    """A command that runs in a container.

    Attributes
    ----------
    stdin : asyncio.StreamWriter or None
        ``None`` where it was not asked for.
    stdout, stderr : asyncio.StreamReader or None
        With a terminal everything comes on `stdout`.
    """

    stdin: StreamWriter | None
    stdout: StreamReader | None
    stderr: StreamReader | None

    async def wait(self) -> int:
        """Wait for the end; return the exit code (128 + signal if killed by one)."""
        ...

    def resize(self, width: int, height: int) -> None:
        """Tell the terminal its size in characters."""
        ...

    def kill(self) -> None:
        """End the command and its children now; harmless if it has ended."""
        ...


class PodStreams(Protocol):
    """What a node offers for the streaming subresources of Pods."""

    async def logs(self, pod: Manifest, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Return an iterator over pieces of a container's log, in order.

        Raises
        ------
        StatusError
            400 where the container is still waiting to start, or has no previous run.
        """
        ...

    async def exec(
        self, pod: Manifest, container: str, command: list[str], options: ExecOptions
    ) -> ExecProcess:
        """Start a command in a running container.

        Raises
        ------
        StatusError
            If the container does not run.
        FileNotFoundError, PermissionError
            If the command cannot be started.
        """
        ...

    async def connect(self, pod: Manifest, port: int) -> tuple[StreamReader, StreamWriter]:
        """Open a TCP connection to a port of a Pod.

        Raises
        ------
        OSError
            If nothing listens there.
        """
        ...
