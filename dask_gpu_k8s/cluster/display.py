"""What people see while they wait: a table in a terminal or a notebook, lines in a log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

from dask_gpu_k8s.cluster.standing import COLUMNS, Standing, to_html

logger = logging.getLogger(__name__)

_GAP = 2


class _View(Protocol):
    def show(self, text: str, standings: Sequence[Standing]) -> None: ...

    def close(self) -> None: ...


class Progress:
    """Says what is waited for, and how the parts of the cluster stand; used with ``with``.

    In a terminal and in a notebook it is a table that goes when all is done. Each change is a line of the
    log, too, of level INFO.

    Parameters
    ----------
    title : str
        What is being made.
    quiet : bool
        Show and log nothing.
    """

    def __init__(self, title: str, quiet: bool) -> None:
        self._title = title
        self._quiet = quiet
        self._text = ""
        self._standings: Sequence[Standing] = ()
        self._view: _View | None = None

    def __enter__(self) -> Progress:
        if not self._quiet:
            from rich.console import Console

            console = Console(stderr=True)
            if console.is_jupyter:
                self._view = _Notebook()
            elif console.is_terminal:
                self._view = _Terminal(console)
            self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._view is not None:
            self._view.close()

    def say(self, text: str, standings: Sequence[Standing] | None = None) -> None:
        """Show what is waited for now.

        Parameters
        ----------
        text : str
        standings : sequence of Standing, optional
            By default as before.
        """
        if self._quiet:
            return
        if text != self._text:
            logger.info("%s: %s", self._title, text)
        self._text = text
        if standings is not None:
            self._standings = standings
        self._show()

    def _show(self) -> None:
        if self._view is not None:
            text = f"{self._title}: {self._text}" if self._text else self._title
            self._view.show(text, self._standings)


class _Terminal:
    def __init__(self, console: Any) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self._width = console.width
        self._spinner = Spinner("dots")
        self._live = Live(self._spinner, console=console, transient=True)
        self._live.start()

    def show(self, text: str, standings: Sequence[Standing]) -> None:
        from rich.console import Group
        from rich.table import Table

        self._spinner.update(text=_one_line(text, self._width - 3))
        table = Table(*COLUMNS, box=None, padding=(0, _GAP, 0, 0))
        rows = [standing.cells for standing in standings]
        *columns, _ = zip(COLUMNS, *rows, strict=True)
        # The last column has what the others leave.
        left = self._width - sum(max(map(len, column)) + _GAP for column in columns) - _GAP
        for *cells, why in rows:
            table.add_row(*(_one_line(cell, self._width) for cell in cells), _one_line(why, max(left, 1)))
        self._live.update(Group(self._spinner, table) if standings else self._spinner)

    def close(self) -> None:
        self._live.stop()


class _Notebook:
    def __init__(self) -> None:
        from IPython.display import display

        self._handle = display(self._html("", ()), display_id=True)

    @staticmethod
    def _html(text: str, standings: Sequence[Standing]) -> Any:
        from html import escape

        from IPython.display import HTML

        return HTML(f"{escape(text)}{to_html(standings)}")

    def show(self, text: str, standings: Sequence[Standing]) -> None:
        self._handle.update(self._html(text, standings))

    def close(self) -> None:
        self._handle.update(self._html("", ()))


def _one_line(text: str, width: int) -> Any:
    """Make of a text, which may hold anything Kubernetes says, a line of that width."""
    from rich.text import Text

    line = Text(" ".join(text.split()))
    line.truncate(width, overflow="ellipsis")
    return line


def worker_count(there: int, wanted: int | None) -> str:
    """Write how many workers there are, of how many that are wanted, where the two differ."""
    return str(there) if wanted is None or there == wanted else f"{there}/{wanted}"
