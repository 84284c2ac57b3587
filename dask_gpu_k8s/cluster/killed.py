"""Why Dask says KilledWorker: what Kubernetes knows of the workers, as a note on the exception."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from distributed.scheduler import KilledWorker

from dask_gpu_k8s.api.ends import End

_SHOWN = 4
"""Ends in a note; Dask gives a task up after as many, unless it is told otherwise."""


def killed_workers(error: BaseException | None) -> Iterator[KilledWorker]:
    """Find each KilledWorker in an exception: itself, its causes, its group's members."""
    waiting, seen = [error], set()
    while waiting:
        here = waiting.pop()
        if here is None or id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, KilledWorker):
            yield here
        waiting += [here.__cause__, here.__context__, *getattr(here, "exceptions", ())]


def make_note(last: End | None, others: Sequence[End]) -> str:
    """Say how the workers of a task ended.

    Parameters
    ----------
    last : End or None
        Of the worker that Dask names; ``None`` if nothing is known of it.
    others : sequence of End
        Of other workers, the latest first.
    """
    ends = [end for end in others if last is None or end.pod != last.pod]
    lines = [str(end) for end in [*([last] if last else ()), *ends][:_SHOWN]]
    if not lines:
        return ""
    return "\n  ".join(["What Kubernetes says of workers that have ended:", *lines])


def add_note(error: BaseException, text: str) -> None:
    """Add a note to an exception, where this Python can (3.11)."""
    if sys.version_info >= (3, 11):
        error.add_note(text)
