"""Which kinds are served: the built-in ones, and those that CRDs bring."""

from __future__ import annotations

from collections.abc import Iterable

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.local.errors import no_such_path
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.store import Table


class Registry:
    """Kinds by group, version and plural."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self.generation = 0
        """Raised by every change, so that what is computed from the kinds can be kept until then."""
        self.serve(kinds)

    def serve(self, kinds: Iterable[Kind]) -> None:
        """Add kinds, or replace them."""
        for kind in kinds:
            resource = kind.resource
            self._kinds[resource.group, resource.version, resource.plural] = kind
        self.generation += 1

    def withdraw(self, table: Table) -> None:
        """Serve no version of a kind any more."""
        self._kinds = {key: kind for key, kind in self._kinds.items() if kind.table != table}
        self.generation += 1

    def find(self, group: str, version: str, plural: str) -> Kind:
        """Return a kind; StatusError 404 if it is not served."""
        kind = self._kinds.get((group, version, plural))
        if kind is None:
            raise no_such_path()
        return kind

    def kind(self, resource: Resource) -> Kind:
        """Return what is known of a resource; StatusError 404 if it is not served."""
        return self.find(resource.group, resource.version, resource.plural)

    def all(self) -> list[Kind]:
        """Return every kind in every version, built-in ones first."""
        return list(self._kinds.values())

    def of_table(self, table: Table) -> list[Kind]:
        """Return the served versions of a kind."""
        return [kind for kind in self._kinds.values() if kind.table == table]
