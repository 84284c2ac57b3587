"""Changes as they happen, for one listener: with its selectors, and the memory it may take."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import expired
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.selectors import Test
from dask_gpu_k8s.local.machinery.store import Change, Entry, Store, Table

BACKLOG = 20_000
"""A listener that lags further behind is cut off, and has to list again."""


def as_seen(change: Change, namespace: str | None, test: Test | None) -> tuple[str, Entry] | None:
    """Say what a change means to a listener with a selector, or None.

    An object that begins to match is added, one that no longer does is deleted.
    """
    if namespace is not None and change.key[0] != namespace:
        return None
    if test is None:
        return change.type, change.new
    before = change.old is not None and test(change.old.obj)
    after = change.type != "DELETED" and test(change.new.obj)
    if after:
        return ("MODIFIED" if before else "ADDED"), change.new
    return ("DELETED", change.new) if before else None


class Subscription:
    """Changes of one kind from the moment it was made, as an asynchronous iterator of ``{type, object}``.

    Parameters
    ----------
    store : Store
    kind : Kind
    namespace : str or None
        None: all.
    test : callable or None
        Only objects that pass.
    """

    def __init__(self, store: Store, kind: Kind, namespace: str | None, test: Test | None) -> None:
        self._table = kind.table
        self._kind = kind
        self._namespace = namespace
        self._test = test
        self._pending: deque[tuple[str, Entry]] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._lost = False
        self._stop = store.listen(self._note)

    def _note(self, table: Table, change: Change) -> None:
        if table == self._table:
            self.push([change])

    def push(self, changes: Iterable[Change]) -> None:
        """Add changes, as if they happened now: how a watch begins in the past."""
        for change in changes:
            seen = as_seen(change, self._namespace, self._test)
            if seen:
                self._pending.append(seen)
        if len(self._pending) > BACKLOG:
            self._lost = True
        if self._pending:
            self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Manifest:
        await self.wait()
        if not self._pending:
            raise StopAsyncIteration
        kind, entry = self._pending.popleft()
        return {"type": kind, "object": entry.obj}

    async def wait(self) -> None:
        """Wait until there is something, or the subscription is closed."""
        while not self._pending and not self._closed:
            self._wake.clear()
            await self._wake.wait()

    def take(self) -> list[tuple[str, Entry]]:
        """Return all that has come, as (type, entry); StatusError 410 if it was too much."""
        if self._lost:
            raise expired("too old resource version: the watch did not keep up with the changes")
        taken = list(self._pending)
        self._pending.clear()
        return taken

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._closed

    def close(self) -> None:
        """Stop receiving; an iteration that waits ends."""
        if not self._closed:
            self._closed = True
            self._stop()
            self._wake.set()
