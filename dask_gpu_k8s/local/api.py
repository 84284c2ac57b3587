"""The API machinery of the embedded Kubernetes, in memory and synchronous.

HTTP handlers, the garbage collector and the node all go through :class:`Api`, so each of them meets the same
rules: names, schemas, defaults, conflicts, generations, finalizers. Objects that come out are the stored ones:
nobody may change them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest


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
    warn: Callable[[str], None] = field(default=lambda _text: None)


class Subscription:
    """Changes of one kind from the moment it was made, as an asynchronous iterator of ``{type, object}``."""

    def __aiter__(self) -> Subscription:
        raise NotImplementedError

    async def __anext__(self) -> Manifest:
        raise NotImplementedError

    def close(self) -> None:
        """Stop receiving; an iteration that waits ends."""


class Api:
    """Everything the API server knows and allows."""

    def resource(self, group: str, version: str, plural: str) -> Resource:
        """Return a kind that is served; StatusError 404 otherwise."""
        raise NotImplementedError

    def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return one object; StatusError 404 if it is not there."""
        raise NotImplementedError

    def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Manifest]:
        """Return all objects, in name order; `namespace` None means every namespace."""
        raise NotImplementedError

    def create(
        self, resource: Resource, namespace: str | None, obj: Manifest, options: WriteOptions = WriteOptions()
    ) -> Manifest:
        """Store a new object and return it as stored."""
        raise NotImplementedError

    def update(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        obj: Manifest,
        *,
        sub: str | None = None,
        options: WriteOptions = WriteOptions(),
    ) -> Manifest:
        """Replace an object (or its ``sub`` = ``"status"``); refused with 409 if its resourceVersion is stale."""
        raise NotImplementedError

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Any,
        *,
        kind: str = "merge",
        sub: str | None = None,
        options: WriteOptions = WriteOptions(),
    ) -> Manifest:
        """Change an object by a ``merge``, ``json`` or ``strategic`` patch."""
        raise NotImplementedError

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        propagation: str | None = None,
    ) -> Manifest:
        """Delete, or mark as being deleted; returns what a DELETE answers.

        A Pod bound to a node is marked (``deletionTimestamp``, ``deletionGracePeriodSeconds``) and stays until
        it is deleted again with ``grace_seconds=0``.
        """
        raise NotImplementedError

    def subscribe(self, resource: Resource) -> Subscription:
        """Receive every change of a kind from now on; list first, without an await in between."""
        raise NotImplementedError
