"""Read objects: one, or many with selectors and in pages."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local import errors
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.selectors import BadSelector, Test, test_for
from dask_gpu_k8s.local.machinery.store import Entry, Key, Store, TooOld

NAMESPACES = ("", "namespaces")


@dataclass(frozen=True)
class Page:
    """A part of a list.

    Attributes
    ----------
    entries : list of Entry
    version : int
        The version at which the whole list is true.
    token : str
        What to continue with; empty at the end.
    remaining : int or None
        How many follow, where that is known.
    """

    entries: list[Entry]
    version: int
    token: str = ""
    remaining: int | None = None


class Reads:
    """Gets and lists on a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def stored(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        """Return an object in the version in which it is stored; StatusError 404 if it is not there."""
        entry = self._store.get(kind.table, (namespace or "", name))
        if entry is None:
            raise errors.not_found(kind.resource, name)
        return entry.obj

    def namespace(self, name: str) -> Manifest:
        """Return a namespace; StatusError 404 if it is not there."""
        entry = self._store.get(NAMESPACES, ("", name))
        if entry is None:
            details = {"name": name, "kind": "namespaces"}
            raise errors.StatusError(404, "NotFound", f'namespaces "{name}" not found', details)
        return entry.obj

    def test(self, kind: Kind, labels: str, fields: str) -> Test | None:
        """Make the test of two selectors; StatusError 400 if one cannot be used."""
        try:
            return test_for(labels, fields, kind.known_fields)
        except BadSelector as error:
            raise errors.bad_request(str(error)) from error

    def page(
        self,
        kind: Kind,
        namespace: str | None,
        test: Test | None,
        *,
        limit: int = 0,
        token: str = "",
        version: int | None = None,
    ) -> Page:
        """List objects in name order.

        Parameters
        ----------
        kind : Kind
        namespace : str or None
            None: all.
        test : callable or None
            Only objects that pass.
        limit : int
            At most so many; 0 for all.
        token : str
            ``continue`` of the page before. All pages show one and the same moment.
        version : int or None
            Show that moment instead of now.

        Raises
        ------
        StatusError
            400 for a token that is none, 410 if its moment is no longer remembered.
        """
        start: Key = ("", "")
        if token:
            version, start = _read_token(token)
        if version is None or version == self._store.version:
            rows, version = self._store.entries(kind.table, namespace), self._store.version
        else:
            rows = self._rows_at(kind, namespace, version)
        found = [(key, entry) for key, entry in rows if key > start and (test is None or test(entry.obj))]
        if not limit or len(found) <= limit:
            return Page([entry for _, entry in found], version)
        token = _make_token(version, found[limit - 1][0])
        remaining = None if test else len(found) - limit
        return Page([entry for _, entry in found[:limit]], version, token, remaining)

    def _rows_at(self, kind: Kind, namespace: str | None, version: int) -> list[tuple[Key, Entry]]:
        try:
            return self._store.entries_at(kind.table, version, namespace)
        except TooOld:
            raise errors.expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            ) from None


def _make_token(version: int, last: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *last]).encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, Key]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(version), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error):
        raise errors.bad_request("continue key is not valid: it was not given out by this server") from None
