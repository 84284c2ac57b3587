"""Create and change objects: the checks in Kubernetes' order, then one step of the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local import errors
from dask_gpu_k8s.local.machinery import metadata
from dask_gpu_k8s.local.machinery.decoding import decode, detached
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.options import WriteOptions
from dask_gpu_k8s.local.machinery.patch import apply_patch
from dask_gpu_k8s.local.machinery.quota import Quotas
from dask_gpu_k8s.local.machinery.reads import Reads
from dask_gpu_k8s.local.machinery.store import Store, encode


class Writes:
    """Creates, updates and patches.

    Parameters
    ----------
    store : Store
    reads : Reads
    now : callable
        The clock.
    quotas : Quotas
        May refuse new objects.
    """

    def __init__(self, store: Store, reads: Reads, now: Callable[[], datetime], quotas: Quotas) -> None:
        self._store = store
        self._reads = reads
        self._now = now
        self._quotas = quotas

    def create(self, kind: Kind, namespace: str | None, sent: Any, options: WriteOptions) -> Manifest:
        """Store a new object."""
        obj, causes = decode(kind, detached(sent), options, None)
        metadata.check_place(kind, obj, namespace)
        if kind.resource.namespaced:
            obj["metadata"] = {**obj["metadata"], "namespace": namespace}
        meta = obj["metadata"]
        name, prefix = meta.get("name") or "", meta.get("generateName") or ""
        causes = metadata.check_name(kind, name, prefix) + metadata.check(kind, meta, None) + causes
        if meta.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        self._refuse_wrong_namespace(kind, namespace, name or prefix)
        if kind.has_status:
            obj = {key: value for key, value in obj.items() if key != "status"}
        causes += kind.check(obj, None)
        if causes:
            raise errors.invalid(kind.resource, name, causes)
        name = name or self._free_name(kind, namespace, prefix)
        # Before it is looked whether the name is free, as admission is on a real cluster.
        self._quotas.admit(kind.resource, {**obj, "metadata": {**meta, "name": name}})
        if self._store.get(kind.table, (namespace or "", name)):
            raise errors.already_exists(kind.resource, name)
        obj["metadata"] = metadata.begin(kind, meta, namespace, name, self._now())
        obj = kind.start(obj)
        return obj if options.dry_run else self._store.put(kind.table, (namespace or "", name), obj).obj

    def _refuse_wrong_namespace(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Refuse to create in a namespace that is not there, or is going."""
        if not kind.resource.namespaced:
            return
        home = self._reads.namespace(namespace or "")
        if home["metadata"].get("deletionTimestamp"):
            cause = errors.Cause(
                "metadata.namespace", f"namespace {namespace} is being terminated", "NamespaceTerminating"
            )
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden(kind.resource, name, why, [cause])

    def _free_name(self, kind: Kind, namespace: str | None, prefix: str) -> str:
        name = metadata.generated_name(prefix)
        while self._store.get(kind.table, (namespace or "", name)):
            name = metadata.generated_name(prefix)
        return name

    def update(
        self, kind: Kind, namespace: str | None, name: str, sent: Any, sub: str | None, options: WriteOptions
    ) -> Manifest:
        """Replace an object, or its status."""
        key = (namespace or "", name)
        if self._store.get(kind.table, key) is None and kind.created_by_update and sub is None:
            return self.create(kind, namespace, sent, options)
        old = self._reads.stored(kind, namespace, name)
        return self._change(kind, old, detached(sent), sub, options, replaces=True)

    def patch(
        self,
        kind: Kind,
        old: Manifest,
        patch: Any,
        how: str,
        sub: str | None,
        options: WriteOptions,
    ) -> Manifest:
        """Change the object `old` as a patch says."""
        changed = apply_patch(kind, old, patch, how)
        try:
            return self._change(kind, old, changed, sub, options, replaces=False)
        except errors.StatusError as error:
            _, strict, fields = error.message.partition("strict decoding error: ")
            if not strict:
                raise
            shown = encode(patch)[:500].decode(errors="replace")
            raise errors.unfit_patch(shown, strict + fields) from None

    def _change(
        self,
        kind: Kind,
        old: Manifest,
        sent: Any,
        sub: str | None,
        options: WriteOptions,
        *,
        replaces: bool,
    ) -> Manifest:
        obj, causes = decode(kind, sent, options, old)
        before = old["metadata"]
        name = before["name"]
        metadata.check_place(kind, obj, before.get("namespace"), name)
        self._check_version(kind, obj["metadata"], before, replaces)
        new = _status_replaced(old, obj) if sub == "status" else _all_but_status_replaced(kind, old, obj)
        if sub != "status":
            causes += metadata.check(kind, obj["metadata"], before) + kind.check(new, old)
        if causes:
            raise errors.invalid(kind.resource, name, causes)
        return self.finish(kind, old, _with_generation(kind, old, new), options.dry_run)

    def _check_version(self, kind: Kind, sent: Manifest, old: Manifest, replaces: bool) -> None:
        version = sent.get("resourceVersion")
        if replaces and kind.needs_version and not version:
            raise errors.unconditional(kind.resource, old["name"])
        if replaces:
            metadata.check_uid(kind, old, sent)
        if version and version not in ("0", old["resourceVersion"]):
            raise errors.stale(kind.resource, old["name"])

    def finish(self, kind: Kind, old: Manifest, new: Manifest, dry_run: bool = False) -> Manifest:
        """Store a change if it is one; an object that waited for its last finalizer goes instead."""
        if new == old:
            return old
        meta = new["metadata"]
        if dry_run:
            return new
        key = (meta.get("namespace", ""), meta["name"])
        if _waited_for_finalizers_only(new):
            return self._store.remove(kind.table, key, new).obj
        return self._store.put(kind.table, key, new).obj


def _status_replaced(old: Manifest, sent: Manifest) -> Manifest:
    new = {key: value for key, value in old.items() if key != "status"}
    return {**new, "status": sent["status"]} if sent.get("status") is not None else new


def _all_but_status_replaced(kind: Kind, old: Manifest, sent: Manifest) -> Manifest:
    new = {**sent, "metadata": metadata.carry_over(old["metadata"], sent["metadata"])}
    if kind.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new


def _with_generation(kind: Kind, old: Manifest, new: Manifest) -> Manifest:
    """Count the changes of what a user asks for; metadata and a separate status do not count."""
    if not kind.has_generation:
        return new
    beside = {"metadata", "status"} if kind.has_status else {"metadata"}
    fields = (old.keys() | new.keys()) - beside
    if all(old.get(field) == new.get(field) for field in fields):
        return new
    return {**new, "metadata": {**new["metadata"], "generation": old["metadata"].get("generation", 0) + 1}}


def _waited_for_finalizers_only(obj: Manifest) -> bool:
    meta = obj["metadata"]
    return (
        "deletionTimestamp" in meta
        and not meta.get("finalizers")
        and not meta.get("deletionGracePeriodSeconds")
        and not (obj["kind"] == "Namespace" and obj.get("spec", {}).get("finalizers"))
    )
