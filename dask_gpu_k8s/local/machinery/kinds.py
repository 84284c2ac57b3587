"""What the server knows of one kind: how it is named, checked, filled in, selected and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause
from dask_gpu_k8s.local.machinery import naming
from dask_gpu_k8s.local.machinery.store import Table

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Column:
    """A column of the tables that kubectl prints.

    Attributes
    ----------
    name, type, description : str
    priority : int
        Columns above 0 are shown by ``-o wide`` only.
    format : str
        As in OpenAPI; ``"name"`` marks the name.
    """

    name: str
    type: str = "string"
    description: str = ""
    priority: int = 0
    format: str = ""


@dataclass(frozen=True)
class Printer:
    """How a kind is shown: its columns, and the cells of one object at a moment."""

    columns: Sequence[Column]
    cells: Callable[[Manifest, datetime], list[Any]]


@dataclass(frozen=True)
class Scale:
    """Where the scale subresource of a custom kind reads and writes, as in its CRD."""

    spec_replicas: str
    status_replicas: str
    selector: str | None


def _same(obj: Manifest, _old: Manifest | None = None) -> Manifest:
    return obj


def _fine(_obj: Manifest, _old: Manifest | None = None) -> list[Cause]:
    return []


@dataclass(frozen=True)
class Kind:
    """A kind that is served.

    Attributes
    ----------
    resource : Resource
        Its names; ``version`` is the served one.
    printer : Printer
    schema : callable
        Returns the structural schema, or None where anything goes; called at the first use.
    custom : bool
        Comes from a CRD: pruned, and conditional in updates.
    verbs, categories : tuple of str
    fields : mapping of str to str
        Field selectors beyond ``metadata.name`` and ``metadata.namespace``: label to path.
    name_rule : callable
        See `dask_gpu_k8s.local.machinery.naming`.
    has_status : bool
        Status is written through its subresource alone.
    has_generation : bool
    needs_version : bool
        An update must name the resourceVersion that it is based on.
    created_by_update : bool
        A PUT to a name that is free creates.
    stored : bool
        Objects are kept; reviews are only answered.
    cleanup : str
        Finalizer that an object gets when its deletion begins; empty for none.
    graceful : bool
        Deletion waits for a node (Pods).
    listed_as : str
        ``kind`` of a list, where it is not ``<kind>List``.
    storage_version : str
        Version in which objects are kept.
    scale : Scale or None
    fill : callable
        (object, old object or None) to the object with Kubernetes' defaults.
    start : callable
        (new object) to the object as it begins: status, and what the server assigns.
    check : callable
        (object, old object or None) to what is wrong with it.
    """

    resource: Resource
    printer: Printer
    schema: Callable[[], Manifest | None] = lambda: None
    custom: bool = False
    verbs: tuple[str, ...] = VERBS
    categories: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    name_rule: naming.Rule = naming.subdomain
    has_status: bool = False
    has_generation: bool = False
    needs_version: bool = False
    created_by_update: bool = False
    stored: bool = True
    cleanup: str = ""
    graceful: bool = False
    listed_as: str = ""
    storage_version: str = ""
    scale: Scale | None = None
    fill: Callable[[Manifest, Manifest | None], Manifest] = _same
    start: Callable[[Manifest], Manifest] = _same
    check: Callable[[Manifest, Manifest | None], list[Cause]] = _fine

    @property
    def list_kind(self) -> str:
        """The ``kind`` of a list of these."""
        return self.listed_as or f"{self.resource.kind}List"

    @property
    def table(self) -> Table:
        """Where the store keeps the objects of this kind."""
        return self.resource.group, self.resource.plural

    @property
    def known_fields(self) -> dict[str, str]:
        """All field selectors of this kind: label to path."""
        own = {"metadata.name": "metadata.name", **self.fields}
        if self.resource.namespaced:
            own["metadata.namespace"] = "metadata.namespace"
        return own

    @property
    def stored_api_version(self) -> str:
        """The ``apiVersion`` that stored objects bear."""
        version = self.storage_version or self.resource.version
        return f"{self.resource.group}/{version}" if self.resource.group else version
