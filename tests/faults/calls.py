"""What the operator asks of others, one call after the other: where faults strike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Perform: TypeAlias = Callable[[], Awaitable[Any]]
"""Has the call take effect and returns its answer."""

READS = ("GET", "WATCH")


@dataclass(frozen=True)
class Call:
    """One request to the API server, or one question to a Dask scheduler.

    Attributes
    ----------
    method : str
        HTTP method, ``"WATCH"``, or ``"RPC"``.
    what : str
        What is asked, e.g. ``"post pods default/foo-scheduler"``.
    body : object
        What is sent.
    """

    method: str
    what: str
    body: object = None

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method not in READS and not (self.method == "RPC" and "retire" not in self.what)

    @property
    def is_kept_out(self) -> bool:
        """Whether it is no sign of restlessness: a Lease is renewed for ever."""
        return "leases" in self.what

    def __str__(self) -> str:
        name = self.body.get("metadata", {}).get("name", "") if isinstance(self.body, dict) else ""
        return f"{self.what} {name}".strip() if self.method == "POST" else self.what


Strike: TypeAlias = Callable[[Call, Perform], Awaitable[Any]]
"""Performs a call, with whatever fault is to strike it."""
