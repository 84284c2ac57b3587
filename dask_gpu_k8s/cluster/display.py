"""What people see while they wait."""

from __future__ import annotations

from types import TracebackType
from typing import Any


class Progress:
    """One line that says what is waited for, in a terminal or a notebook; used with ``with``.

    Elsewhere, in a log file or a pipe, nothing is written.

    Parameters
    ----------
    title : str
        What is being made.
    quiet : bool
        Write nothing anywhere.
    """

    def __init__(self, title: str, quiet: bool) -> None:
        self._title = title
        self._quiet = quiet
        self._status: Any = None

    def __enter__(self) -> Progress:
        if not self._quiet:
            from rich.console import Console

            console = Console(stderr=True)
            if console.is_terminal or console.is_jupyter:
                self._status = console.status(_one_line(self._title, console.width))
                self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """Show what is waited for now."""
        if self._status is not None:
            self._status.update(_one_line(f"{self._title}: {text}", self._status.console.width))


def _one_line(text: str, width: int) -> Any:
    """Make of a text, which may hold anything Kubernetes says, a line that fits beside the spinner."""
    from rich.text import Text

    line = Text(" ".join(text.split()))
    line.truncate(width - 3, overflow="ellipsis")
    return line


def worker_count(there: int, wanted: int | None) -> str:
    """Write how many workers there are, of how many that are wanted, where the two differ."""
    return str(there) if wanted is None or there == wanted else f"{there}/{wanted}"
