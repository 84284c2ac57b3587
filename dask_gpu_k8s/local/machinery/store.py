"""Objects in memory, with a version counter and a log of changes: what etcd and a watch cache are elsewhere.

It knows nothing of kinds. Objects are never changed, only replaced, so a snapshot costs nothing; each is
encoded as JSON once, however often it is listed or watched.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from dask_gpu_k8s.api.types import Manifest

Key = tuple[str, str]
"""Namespace (empty for cluster-wide kinds) and name."""

Table = tuple[str, str]
"""Group and plural of a kind: all its versions share one table."""

FIRST_VERSION = 1000
"""Versions start here, so that a watch from version 1 is too old from the beginning, as on a real cluster."""


def encode(obj: object) -> bytes:
    """Write JSON as the server sends it."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


class Entry:
    """One object at one version, and its JSON."""

    __slots__ = ("_json", "obj")

    def __init__(self, obj: Manifest) -> None:
        self.obj = obj
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """The object as JSON, made at the first call."""
        if self._json is None:
            self._json = encode(self.obj)
        return self._json


@dataclass(frozen=True)
class Change:
    """One step in the history of a table.

    Attributes
    ----------
    type : str
        ``"ADDED"``, ``"MODIFIED"`` or ``"DELETED"``.
    key : Key
        What changed.
    version : int
        The version at which it did.
    new : Entry
        The object after the change; of a deletion, its last state with the version of the deletion.
    old : Entry or None
        The object before.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    key: Key
    version: int
    new: Entry
    old: Entry | None


class TooOld(Exception):
    """The asked version lies before what the log still holds."""


@dataclass
class _Rows:
    entries: dict[Key, Entry] = field(default_factory=dict)
    log: deque[Change] = field(default_factory=deque)
    floor: int = FIRST_VERSION
    """Version of the newest change that the log has dropped."""


class Store:
    """All objects.

    Parameters
    ----------
    window : int
        How many changes of each kind are remembered for watches that resume and lists that continue.
    """

    def __init__(self, window: int = 5000) -> None:
        self.version = FIRST_VERSION
        self._window = window
        self._tables: dict[Table, _Rows] = {}
        self._listeners: list[Callable[[Table, Change], None]] = []

    def listen(self, listener: Callable[[Table, Change], None]) -> Callable[[], None]:
        """Call `listener` after every change; returns what stops it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def get(self, table: Table, key: Key) -> Entry | None:
        """Return one object, or None."""
        rows = self._tables.get(table)
        return rows.entries.get(key) if rows else None

    def put(self, table: Table, key: Key, obj: Manifest) -> Entry:
        """Store an object under a new version, which is written into its metadata."""
        rows = self._tables.setdefault(table, _Rows())
        self.version += 1
        old = rows.entries.get(key)
        entry = rows.entries[key] = Entry(_at_version(obj, self.version))
        self._log(table, rows, Change("MODIFIED" if old else "ADDED", key, self.version, entry, old))
        return entry

    def remove(self, table: Table, key: Key, last: Manifest | None = None) -> Entry:
        """Take an object out.

        Returns its last state (`last`, if the removal came with a change), at the version of the removal.
        """
        rows = self._tables[table]
        self.version += 1
        old = rows.entries.pop(key)
        entry = Entry(_at_version(last or old.obj, self.version))
        self._log(table, rows, Change("DELETED", key, self.version, entry, old))
        return entry

    def _log(self, table: Table, rows: _Rows, change: Change) -> None:
        rows.log.append(change)
        if len(rows.log) > self._window:
            rows.floor = rows.log.popleft().version
        for listener in tuple(self._listeners):
            listener(table, change)

    def entries(self, table: Table, namespace: str | None = None) -> list[tuple[Key, Entry]]:
        """List a table, or one namespace of it, in the order of namespace and name."""
        rows = self._tables.get(table)
        return _ordered(rows.entries, namespace) if rows else []

    def entries_at(self, table: Table, version: int, namespace: str | None = None) -> list[tuple[Key, Entry]]:
        """List a table as it was at a version.

        Raises
        ------
        TooOld
            If the log does not reach back that far.
        """
        then = dict(self._tables[table].entries) if table in self._tables else {}
        for change in reversed(self.changes_since(table, version)):
            if change.old is None:
                del then[change.key]
            else:
                then[change.key] = change.old
        return _ordered(then, namespace)

    def changes_since(self, table: Table, version: int) -> list[Change]:
        """Return what happened to a table after a version, oldest first.

        Raises
        ------
        TooOld
            If the log does not reach back that far.
        """
        rows = self._tables.get(table)
        if version < (rows.floor if rows else FIRST_VERSION):
            raise TooOld
        return [change for change in rows.log if change.version > version] if rows else []


def _at_version(obj: Manifest, version: int) -> Manifest:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


def _ordered(entries: dict[Key, Entry], namespace: str | None) -> list[tuple[Key, Entry]]:
    wanted: Iterable[Key] = entries if namespace is None else (key for key in entries if key[0] == namespace)
    return [(key, entries[key]) for key in sorted(wanted)]
