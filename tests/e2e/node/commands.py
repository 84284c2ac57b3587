"""Running other programs: their output is shown only when they fail."""

import fcntl
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class Failed(Exception):
    """Something the node needs did not work; the message says what, with the last lines of output."""


def run(
    *argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, check: bool = True
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    Raises
    ------
    Failed
        If it ends with an error and `check` is set.
    """
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if check and done.returncode:
        raise Failed(f"{command_line(argv)} ended with {done.returncode}:\n{tail(done.stdout + done.stderr)}")
    return done.stdout


def command_line(argv: Sequence[str | Path]) -> str:
    """Write a command as it would be typed, cut where it gets long."""
    text = shlex.join(str(word) for word in argv)
    return text if len(text) < 300 else f"{text[:300]}..."


def tail(text: str, lines: int = 30) -> str:
    """Give the last lines of a text, indented."""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two runs at once do not build the same thing twice."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
