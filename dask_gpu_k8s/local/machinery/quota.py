"""ResourceQuotas: what a namespace uses, and refusing what goes beyond.

Source: Kubernetes' documentation, "Resource Quotas". Scopes are not supported, and refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from dask_gpu_k8s.api.quantity import format_quantity, parse_quantity
from dask_gpu_k8s.api.resources import POD, RESOURCEQUOTA, SERVICE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause, forbidden
from dask_gpu_k8s.local.machinery.store import Change, Store, Table

_TABLE: Table = (RESOURCEQUOTA.group, RESOURCEQUOTA.plural)
_PODS: Table = (POD.group, POD.plural)
_COUNTED = {("", "configmaps"), ("", "secrets"), (SERVICE.group, SERVICE.plural), _PODS}
"""Kinds with a short name of their own; all others are counted as ``count/plural.group``."""
_PLAIN = ("cpu", "memory", "ephemeral-storage")
"""Resources whose requests may be limited without the word ``requests.`` before them."""

Amounts = dict[str, Decimal]


class Quotas:
    """The quotas of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, resource: Resource, obj: Manifest) -> None:
        """Refuse an object with which its namespace would use more than a quota allows.

        Raises
        ------
        StatusError
            403, naming the quota and all that it would exceed.
        """
        meta = obj["metadata"]
        asked = usage_of((resource.group, resource.plural), obj)
        for quota in self.of(meta.get("namespace") or ""):
            hard = _hard(quota)
            used = self.used(quota)
            over = [
                name
                for name, amount in sorted(asked.items())
                if name in hard and amount and used[name] + amount > hard[name]
            ]
            if over:
                why = (
                    f"exceeded quota: {quota['metadata']['name']}, requested: {_shown(asked, over)}, "
                    f"used: {_shown(used, over)}, limited: {_shown(hard, over)}"
                )
                raise forbidden(resource, meta.get("name") or meta.get("generateName") or "", why)

    def of(self, namespace: str) -> list[Manifest]:
        """Return the quotas of a namespace."""
        return [entry.obj for _, entry in self._store.entries(_TABLE, namespace)]

    def concerned(self, change: Change) -> list[str]:
        """Return the uids of the quotas whose usage a change may alter."""
        return [str(quota["metadata"]["uid"]) for quota in self.of(change.key[0])] if change.key[0] else []

    def used(self, quota: Manifest) -> Amounts:
        """Add up what is used of all that a quota limits."""
        namespace = quota["metadata"]["namespace"]
        used = dict.fromkeys(_hard(quota), Decimal(0))
        for table in {_table_of(name) for name in used}:
            for _, entry in self._store.entries(table, namespace):
                for name, amount in usage_of(table, entry.obj).items():
                    if name in used:
                        used[name] += amount
        return used

    def with_usage(self, quota: Manifest) -> Manifest:
        """Return a quota whose status says what is used."""
        used = {name: format_quantity(amount) for name, amount in self.used(quota).items()}
        return {**quota, "status": {"hard": dict(quota.get("spec", {}).get("hard") or {}), "used": used}}


def check(quota: Manifest, _old: Manifest | None) -> list[Cause]:
    """Say what is wrong with a quota."""
    spec = quota.get("spec") or {}
    text = "Forbidden: scopes of quotas are not supported by this server"
    return [Cause(f"spec.{field}", text) for field in ("scopes", "scopeSelector") if spec.get(field)]


def usage_of(table: Table, obj: Manifest) -> Amounts:
    """Return what one object uses, under all names that a quota may give it."""
    group, plural = table
    if table == _PODS and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    usage = {f"count/{plural}.{group}" if group else f"count/{plural}": Decimal(1)}
    if table in _COUNTED:
        usage[plural] = Decimal(1)
    if table == _PODS:
        usage.update(_of_pod(obj))
    return usage


def _of_pod(pod: Manifest) -> Iterator[tuple[str, Decimal]]:
    containers = pod["spec"].get("containers") or []
    for kind in ("requests", "limits"):
        total: Amounts = {}
        for container in containers:
            for name, amount in _said(container, kind):
                total[name] = total.get(name, Decimal(0)) + amount
        for name, amount in total.items():
            yield f"{kind}.{name}", amount
            if kind == "requests" and name in _PLAIN:
                yield name, amount


def _said(container: Manifest, kind: str) -> Iterable[tuple[str, Decimal]]:
    resources = container.get("resources") or {}
    said = dict(resources.get("limits") or {})
    if kind == "requests":
        # Where only a limit is said, that is the request.
        said.update(resources.get("requests") or {})
    return [(name, parse_quantity(amount)) for name, amount in said.items()]


def _hard(quota: Manifest) -> Amounts:
    hard = (quota.get("spec") or {}).get("hard") or {}
    return {name: parse_quantity(amount) for name, amount in hard.items()}


def _table_of(name: str) -> Table:
    """Return the kind that a quota's entry is about."""
    if name.startswith("count/"):
        plural, _, group = name.removeprefix("count/").partition(".")
        return group, plural
    return next((table for table in _COUNTED if table[1] == name), _PODS)


def _shown(amounts: Amounts, names: list[str]) -> str:
    return ",".join(f"{name}={format_quantity(amounts[name])}" for name in names)
