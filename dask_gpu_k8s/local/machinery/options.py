"""How a write or a deletion is to be taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _unheard(_text: str) -> None:
    pass


@dataclass(frozen=True)
class WriteOptions:
    """How a write is to be taken.

    Attributes
    ----------
    field_validation : str
        What unknown fields lead to: ``"Ignore"``, ``"Warn"`` or ``"Strict"``.
    dry_run : bool
        Answer as if written, write nothing.
    warn : callable
        Gets each warning that the writer should see.
    """

    field_validation: str = "Warn"
    dry_run: bool = False
    warn: Callable[[str], None] = _unheard


DEFAULT = WriteOptions()


@dataclass(frozen=True)
class DeleteOptions:
    """How a deletion is to be taken, as in the ``DeleteOptions`` of the API.

    Attributes
    ----------
    uid, resource_version : str or None
        Preconditions.
    grace_seconds : int or None
        Time that a Pod gets to end; None means what its spec says.
    propagation : str or None
        ``"Background"`` (also None), ``"Foreground"`` or ``"Orphan"``.
    dry_run : bool
    """

    uid: str | None = None
    resource_version: str | None = None
    grace_seconds: int | None = None
    propagation: str | None = None
    dry_run: bool = False
