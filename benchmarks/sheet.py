"""What was measured, beside what others take and what was promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

CONSOLE = Console(width=140)


@dataclass
class Sheet:
    """A table that is filled line by line.

    Parameters
    ----------
    command : str
        What prints it.
    others : mapping
        Whom else is measured: the argument of `add`, and the column's heading.

    Attributes
    ----------
    missed : int
        How many goals were missed.
    """

    command: str
    others: Mapping[str, str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    missed: int = 0

    def add(self, what: str, ours: float, goal: float | None, *, unit: str = "s", **others: str) -> None:
        """Write a line; `goal` is the most that ours may be."""
        met = goal is None or ours <= goal
        self.missed += not met
        most = "-" if goal is None else f"{goal:.3g} {unit}{'' if met else ' MISSED'}"
        beside = [others.pop(key, "-") for key in self.others]
        if others:
            raise TypeError(f"no column for {', '.join(others)}")
        self.rows.append((what, *beside, f"{ours:.3g} {unit}", most))
        CONSOLE.print(*self.rows[-1], sep="  |  ")

    def print(self) -> None:
        """Print the table."""
        table = Table("work", *self.others.values(), "ours", "at most", title=self.command)
        for row in self.rows:
            table.add_row(*row)
        CONSOLE.print(table)
