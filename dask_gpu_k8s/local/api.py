"""The API machinery of the embedded Kubernetes, in memory and synchronous.

HTTP handlers, the garbage collector and the node all go through :class:`Api`, so each of them meets the same
rules: names, schemas, defaults, conflicts, generations, finalizers. Objects that come out are the stored
ones: nobody may change them.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from dask_gpu_k8s.api import resources
from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import method_not_allowed
from dask_gpu_k8s.local.machinery import binding, crd, eviction, scale, seeds
from dask_gpu_k8s.local.machinery.builtin import builtin_kinds
from dask_gpu_k8s.local.machinery.crd_schema import has_rules
from dask_gpu_k8s.local.machinery.decoding import decode, detached
from dask_gpu_k8s.local.machinery.deletion import Deletion
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.options import DEFAULT, DeleteOptions, WriteOptions
from dask_gpu_k8s.local.machinery.patch import apply_patch
from dask_gpu_k8s.local.machinery.quota import Quotas
from dask_gpu_k8s.local.machinery.reads import Reads
from dask_gpu_k8s.local.machinery.registry import Registry
from dask_gpu_k8s.local.machinery.services import SERVICE_NETWORK, ServiceAddresses
from dask_gpu_k8s.local.machinery.store import Change, Store, Table
from dask_gpu_k8s.local.machinery.subscription import Subscription
from dask_gpu_k8s.local.machinery.writes import Writes

_CRDS: Table = (resources.CRD.group, resources.CRD.plural)


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Api:
    """Everything the API server knows and allows.

    Parameters
    ----------
    now : callable
        The clock; returns an aware datetime.
    window : int
        How many changes of each kind are remembered, for watches that resume.
    service_network : str
        Where Services get their addresses, e.g. ``"127.96.0.0/16"``.

    Attributes
    ----------
    store : Store
    reads : Reads
    registry : Registry
    """

    def __init__(
        self,
        now: Callable[[], datetime] = _utc_now,
        window: int = 5000,
        service_network: str = SERVICE_NETWORK,
    ) -> None:
        self.now = now
        self.store = Store(window)
        self.reads = Reads(self.store)
        self.registry = Registry(builtin_kinds(ServiceAddresses(self.store, service_network), now))
        self._writes = Writes(self.store, self.reads, now, Quotas(self.store))
        self._deletion = Deletion(self.store, self.reads, now)
        self.store.listen(self._serve_custom_kinds)
        seeds.plant(self)

    def _serve_custom_kinds(self, table: Table, change: Change) -> None:
        """Follow the CRDs: what they declare is served from the moment they are stored."""
        if table != _CRDS:
            return
        spec = change.new.obj["spec"]
        self.registry.withdraw((spec["group"], spec["names"]["plural"]))
        if change.type != "DELETED":
            self.registry.serve(crd.kinds_of(change.new.obj))

    def resource(self, group: str, version: str, plural: str) -> Resource:
        """Return a kind that is served; StatusError 404 otherwise."""
        return self.registry.find(group, version, plural).resource

    def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return one object; StatusError 404 if it is not there."""
        kind = self.registry.kind(resource)
        return self.served(kind, self.reads.stored(kind, namespace, name))

    def served(self, kind: Kind, obj: Manifest) -> Manifest:
        """Return a stored object in the version of a kind."""
        if obj["apiVersion"] == kind.resource.api_version:
            return obj
        return {**obj, "apiVersion": kind.resource.api_version}

    def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> builtins.list[Manifest]:
        """Return all objects, in name order; `namespace` None means every namespace."""
        kind = self.registry.kind(resource)
        page = self.reads.page(kind, namespace, self.reads.test(kind, labels, fields))
        return [self.served(kind, entry.obj) for entry in page.entries]

    def create(
        self, resource: Resource, namespace: str | None, obj: Manifest, options: WriteOptions = DEFAULT
    ) -> Manifest:
        """Store a new object and return it as stored."""
        kind = self._writable(resource)
        if not kind.stored:
            review, _ = decode(kind, detached(obj), options, None)
            return kind.start(review)
        seeds.check_account(self, kind, namespace, obj)
        created = self._writes.create(kind, namespace, obj, options)
        if resource == resources.NAMESPACE and not options.dry_run:
            seeds.plant_in(self, created["metadata"]["name"])
        if resource == resources.CRD and has_rules(created["spec"]["versions"]):
            options.warn("x-kubernetes-validations (CEL rules) are stored but not evaluated by this server")
        return self.served(kind, created)

    def _writable(self, resource: Resource) -> Kind:
        kind = self.registry.kind(resource)
        if "create" not in kind.verbs:
            raise method_not_allowed()
        return kind

    def update(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        obj: Manifest,
        *,
        sub: str | None = None,
        options: WriteOptions = DEFAULT,
    ) -> Manifest:
        """Replace an object, or its ``status`` or ``scale``; 409 if its resourceVersion is stale."""
        kind = self.registry.kind(resource)
        self._check_sub(kind, sub)
        if sub == "scale":
            old = self.reads.stored(kind, namespace, name)
            return self._rescale(kind, old, obj, options)
        return self.served(kind, self._writes.update(kind, namespace, name, obj, sub, options))

    def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Any,
        *,
        kind: str = "merge",
        sub: str | None = None,
        options: WriteOptions = DEFAULT,
    ) -> Manifest:
        """Change an object by a ``merge``, ``json`` or ``strategic`` patch."""
        known = self.registry.kind(resource)
        self._check_sub(known, sub)
        old = self.reads.stored(known, namespace, name)
        if sub == "scale":
            wanted = apply_patch(scale.KIND, scale.scale_of(known, old), patch, kind)
            return self._rescale(known, old, wanted, options)
        before = self.served(known, old)
        return self.served(known, self._writes.patch(known, before, patch, kind, sub, options))

    def _check_sub(self, kind: Kind, sub: str | None) -> None:
        if sub is None or (sub == "status" and kind.has_status) or (sub == "scale" and kind.scale):
            return
        raise method_not_allowed()

    def _rescale(self, kind: Kind, old: Manifest, wanted: Manifest, options: WriteOptions) -> Manifest:
        changed = scale.rescaled(kind, old, wanted)
        new = self._writes.patch(kind, old, changed, "merge", None, options)
        return scale.scale_of(kind, new)

    def scale(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return the ``Scale`` of an object."""
        kind = self.registry.kind(resource)
        self._check_sub(kind, "scale")
        return scale.scale_of(kind, self.reads.stored(kind, namespace, name))

    def bind(self, namespace: str | None, name: str, node: str) -> None:
        """Assign a Pod to a node; 409 if it has one."""
        kind = self.registry.kind(resources.POD)
        old = self.reads.stored(kind, namespace, name)
        self._writes.finish(kind, old, binding.bound(kind, old, node, self.now()))

    def evict(self, namespace: str | None, name: str, options: DeleteOptions) -> None:
        """Delete a Pod, which says until its end that it was evicted."""
        kind = self.registry.kind(resources.POD)
        old = self.reads.stored(kind, namespace, name)
        self._writes.finish(kind, old, eviction.evicted(old, self.now()))
        self.remove(resources.POD, namespace, name, options)

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
        """Delete, or mark as being deleted; returns the object's last or present state.

        A Pod bound to a node is marked (``deletionTimestamp``, ``deletionGracePeriodSeconds``) and stays
        until it is deleted again with ``grace_seconds=0``.
        """
        options = DeleteOptions(uid, resource_version, grace_seconds, propagation)
        obj, _ = self.remove(resource, namespace, name, options)
        return obj

    def remove(
        self, resource: Resource, namespace: str | None, name: str, options: DeleteOptions
    ) -> tuple[Manifest, bool]:
        """Delete like `delete`; says also whether the object is gone."""
        kind = self.registry.kind(resource)
        if "delete" not in kind.verbs:
            raise method_not_allowed()
        seeds.refuse_deleting(kind, name)
        obj, gone = self._deletion.delete(kind, namespace, name, options)
        return self.served(kind, obj), gone

    def finish(self, resource: Resource, old: Manifest, new: Manifest) -> Manifest:
        """Store a change that controllers make beside the rules for users, such as taking a finalizer off."""
        return self._writes.finish(self.registry.kind(resource), old, new)

    def subscribe(self, resource: Resource, namespace: str | None = None) -> Subscription:
        """Receive every change of a kind from now on; list first, without an await in between."""
        return Subscription(self.store, self.registry.kind(resource), namespace, None)
