"""A copy of what the API server knows about one kind of object, found by name, owner and label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Hashable, Iterator
from typing import ClassVar, TypeAlias

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.frozen import freeze

ObjectKey: TypeAlias = tuple[str, str]
"""Namespace (empty for kinds that live in none) and name."""

Change: TypeAlias = tuple[Manifest | None, Manifest | None]
"""An object before and after; ``None`` where it did not exist."""


Manifests: TypeAlias = list[Manifest]
Changes: TypeAlias = list[Change]


def object_key(obj: Manifest) -> ObjectKey:
    """Return the namespace and name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


class Store:
    """Objects by namespace and name, with an index by owner and one by label.

    What it returns is shared with everybody else and never to be changed.

    Attributes
    ----------
    frozen : bool
        Class-wide switch for tests: hand out objects that refuse to be changed.
    trim : callable or None
        Makes what is kept of an object; its metadata must stay.
    """

    frozen: ClassVar[bool] = False

    def __init__(self) -> None:
        self.trim: Callable[[Manifest], Manifest] | None = None
        self._objects: dict[ObjectKey, Manifest] = {}
        # Dicts as sets that keep their order.
        self._by_owner: defaultdict[Hashable, dict[ObjectKey, None]] = defaultdict(dict)
        self._by_label: defaultdict[Hashable, dict[ObjectKey, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Manifest]:
        return iter(list(self._objects.values()))

    def get(self, namespace: str, name: str) -> Manifest | None:
        """Return one object; `namespace` is empty for kinds that live in none."""
        return self._objects.get((namespace, name))

    def list(self, namespace: str | None = None) -> Manifests:
        """Return all objects, or those of one namespace."""
        return [obj for key, obj in self._objects.items() if namespace is None or key[0] == namespace]

    def by_owner(self, uid: str) -> Manifests:
        """Return the objects that have `uid` among their ownerReferences."""
        return [self._objects[key] for key in self._by_owner.get(uid, ())]

    def by_label(self, key: str, value: str, namespace: str | None = None) -> Manifests:
        """Return the objects with that label, in all namespaces or in one."""
        found = self._by_label.get((key, value), ())
        return [self._objects[at] for at in found if namespace is None or at[0] == namespace]

    def put(self, obj: Manifest) -> Change | None:
        """Add an object or a new version of one.

        Returns
        -------
        tuple or None
            What changed; ``None`` if this version was there already.
        """
        key = object_key(obj)
        old = self._objects.get(key)
        if old is not None and _version(old) == _version(obj):
            return None
        kept = self.trim(obj) if self.trim else obj
        new: Manifest = freeze(kept) if self.frozen else kept
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = new
        for owner in _owners(new):
            self._by_owner[owner][key] = None
        for label in _labels(new):
            self._by_label[label][key] = None
        return old, new

    def remove(self, key: ObjectKey) -> Change | None:
        """Drop an object; return what changed, or ``None`` if it was not there."""
        old = self._objects.pop(key, None)
        if old is None:
            return None
        self._unindex(key, old)
        return old, None

    def retain(self, keys: Container[ObjectKey]) -> Changes:
        """Drop every object whose key is not among `keys`; return what changed."""
        dropped = [self.remove(key) for key in list(self._objects) if key not in keys]
        return [change for change in dropped if change is not None]

    def _unindex(self, key: ObjectKey, obj: Manifest) -> None:
        for index, entries in ((self._by_owner, _owners(obj)), (self._by_label, _labels(obj))):
            for entry in entries:
                index[entry].pop(key, None)
                if not index[entry]:
                    del index[entry]


def _version(obj: Manifest) -> tuple[object, object]:
    metadata = obj["metadata"]
    return metadata.get("uid"), metadata.get("resourceVersion")


def _owners(obj: Manifest) -> set[Hashable]:
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()}


def _labels(obj: Manifest) -> set[Hashable]:
    return set((obj["metadata"].get("labels") or {}).items())
