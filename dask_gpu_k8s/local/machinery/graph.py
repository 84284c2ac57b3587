"""Which stored objects there are by uid, and which depend on which: what the garbage collector looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.machinery.store import Change, Key, Store, Table


@dataclass(frozen=True)
class Place:
    """Where an object is stored."""

    table: Table
    key: Key


class Graph:
    """Objects by uid and dependents by owner, kept current by the store's changes.

    Parameters
    ----------
    store : Store
    touched : callable
        Gets each uid about which something has to be decided anew.
    """

    def __init__(self, store: Store, touched: Callable[[str], None]) -> None:
        self._store = store
        self._touched = touched
        self._places: dict[str, Place] = {}
        self._dependents: dict[str, set[str]] = {}
        store.listen(self._note)

    def _note(self, table: Table, change: Change) -> None:
        meta = change.new.obj["metadata"]
        uid = meta["uid"]
        before = _owners(change.old.obj) if change.old else set()
        after = set() if change.type == "DELETED" else _owners(change.new.obj)
        for owner in before - after:
            self._dependents.get(owner, set()).discard(uid)
        for owner in after:
            self._dependents.setdefault(owner, set()).add(uid)
        if change.type == "DELETED":
            self._places.pop(uid, None)
            self._report(self._dependents.pop(uid, set()) | before)
            return
        self._places[uid] = Place(table, change.key)
        if after or "deletionTimestamp" in meta or before:
            self._report({uid} | before)

    def _report(self, uids: set[str]) -> None:
        for uid in uids:
            self._touched(uid)

    def place(self, uid: str) -> Place | None:
        """Say where an object is, or None."""
        return self._places.get(uid)

    def find(self, uid: str) -> Manifest | None:
        """Return an object by its uid, or None."""
        place = self._places.get(uid)
        entry = self._store.get(place.table, place.key) if place else None
        return entry.obj if entry else None

    def owner(self, uid: str, namespace: str) -> Manifest | None:
        """Return an owner if it is where an owner may be: in the dependent's namespace, or cluster-wide."""
        found = self.find(uid)
        if found is None or found["metadata"].get("namespace", namespace) != namespace:
            return None
        return found

    def dependents(self, uid: str) -> list[Manifest]:
        """Return the objects that name an owner."""
        found = [self.find(dependent) for dependent in sorted(self._dependents.get(uid, ()))]
        return [obj for obj in found if obj is not None]


def _owners(obj: Manifest) -> set[str]:
    return {ref["uid"] for ref in obj["metadata"].get("ownerReferences") or ()}
