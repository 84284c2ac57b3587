"""Delete objects: preconditions, finalizers, propagation, and the grace period of Pods.

Source: Kubernetes' documentation, "Garbage Collection", "Finalizers" and "Pod Lifecycle: Termination".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local import errors
from dask_gpu_k8s.local.machinery import metadata
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.options import DeleteOptions
from dask_gpu_k8s.local.machinery.reads import Reads
from dask_gpu_k8s.local.machinery.store import Store

PROPAGATIONS = ("Foreground", "Background", "Orphan")


class Deletion:
    """Deletes on a store."""

    def __init__(self, store: Store, reads: Reads, now: Callable[[], datetime]) -> None:
        self._store = store
        self._reads = reads
        self._now = now

    def delete(
        self, kind: Kind, namespace: str | None, name: str, options: DeleteOptions
    ) -> tuple[Manifest, bool]:
        """Delete an object, or mark it as being deleted.

        Returns
        -------
        tuple of (dict, bool)
            The object's last or present state, and whether it is gone.
        """
        _check_propagation(options.propagation)
        old = self._reads.stored(kind, namespace, name)
        metadata.check_preconditions(kind, old, options.uid, options.resource_version)
        grace = _grace(old, options.grace_seconds) if kind.graceful else 0
        new = _marked(old, _finalizers(kind, old, options.propagation), grace, self._now())
        meta = new["metadata"]
        waits = grace > 0 or meta.get("finalizers") or _namespace_finalizers(new)
        if options.dry_run:
            return old, not waits
        key = (meta.get("namespace", ""), name)
        if not waits:
            return self._store.remove(kind.table, key).obj, True
        if new == old:
            return old, False
        return self._store.put(kind.table, key, new).obj, False


def _check_propagation(propagation: str | None) -> None:
    if propagation and propagation not in PROPAGATIONS:
        supported = ", ".join(f'"{name}"' for name in (*PROPAGATIONS, "nil"))
        text = f'Unsupported value: "{propagation}": supported values: {supported}'
        raise errors.invalid_options("DeleteOptions", "propagationPolicy", text)


def _finalizers(kind: Kind, old: Manifest, propagation: str | None) -> list[str]:
    """Put the collector's finalizers as the propagation asks; others are left as they are."""
    present = list(old["metadata"].get("finalizers") or ())
    if kind.cleanup and "deletionTimestamp" not in old["metadata"]:
        present = [*(name for name in present if name != kind.cleanup), kind.cleanup]
    if propagation is None:
        return present
    own = {"Foreground": metadata.FOREGROUND, "Orphan": metadata.ORPHAN}.get(propagation)
    kept = [name for name in present if name not in (metadata.FOREGROUND, metadata.ORPHAN) or name == own]
    return [*kept, own] if own and own not in kept else kept


def _grace(pod: Manifest, asked: int | None) -> int:
    """Say how many seconds a Pod still gets: none if nothing of it can be running."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    grace = spec.get("terminationGracePeriodSeconds", 30) if asked is None else max(asked, 0)
    left = pod["metadata"].get("deletionGracePeriodSeconds")
    if "deletionTimestamp" in pod["metadata"] and left is not None:
        return min(left, grace) if asked is not None else int(left)
    return int(grace)


def _marked(old: Manifest, finalizers: list[str], grace: int, now: datetime) -> Manifest:
    meta = {key: value for key, value in old["metadata"].items() if key != "finalizers"}
    if finalizers:
        meta["finalizers"] = finalizers
    if "deletionTimestamp" not in meta or meta.get("deletionGracePeriodSeconds") != grace:
        meta["deletionTimestamp"] = metadata.timestamp(now + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace
        if "generation" in meta and "deletionTimestamp" not in old["metadata"]:
            meta["generation"] += 1
    new = {**old, "metadata": meta}
    if _namespace_finalizers(new):
        new["status"] = {**new.get("status", {}), "phase": "Terminating"}
    return new


def _namespace_finalizers(obj: Manifest) -> list[str]:
    return list(obj.get("spec", {}).get("finalizers") or ()) if obj["kind"] == "Namespace" else []
