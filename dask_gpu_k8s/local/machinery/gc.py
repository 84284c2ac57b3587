"""Garbage collection by owner references: what is to be done about one object, decided purely.

Source: Kubernetes' documentation, "Garbage Collection" and "Owners and Dependents".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.machinery.metadata import FOREGROUND, ORPHAN

Find = Callable[[str, str], Manifest | None]
"""(uid of an owner, namespace of the dependent) to the owner, if it exists where it may be."""


@dataclass(frozen=True)
class Verdict:
    """What is to be done about an object.

    Attributes
    ----------
    action : str
        ``"keep"``, ``"delete"``, or ``"replace"`` by `new`.
    propagation : str or None
        For a deletion.
    new : dict or None
    """

    action: Literal["keep", "delete", "replace"]
    propagation: str | None = None
    new: Manifest | None = None


KEEP = Verdict("keep")


def judge_dependent(obj: Manifest, owner_of: Find) -> Verdict:
    """Decide about an object by what has become of its owners.

    It goes when none of them is left that stays; of several, the lost ones are struck out.
    """
    meta = obj["metadata"]
    refs = meta.get("ownerReferences") or []
    if not refs or "deletionTimestamp" in meta:
        return KEEP
    owners = [(ref, owner_of(ref["uid"], meta.get("namespace", ""))) for ref in refs]
    lost = [ref for ref, owner in owners if owner is None]
    waiting = [ref for ref, owner in owners if owner is not None and deletes_first(owner)]
    if len(lost) + len(waiting) < len(refs):
        if not lost and not waiting:
            return KEEP
        solid = [ref for ref in refs if ref not in lost and ref not in waiting]
        return Verdict("replace", new={**obj, "metadata": {**meta, "ownerReferences": solid}})
    return Verdict("delete", "Foreground" if waiting else "Background")


def deletes_first(owner: Manifest) -> bool:
    """Say whether an object waits for its dependents to be deleted."""
    meta = owner["metadata"]
    return "deletionTimestamp" in meta and FOREGROUND in (meta.get("finalizers") or ())


def orphans(owner: Manifest) -> bool:
    """Say whether an object is being deleted without its dependents."""
    meta = owner["metadata"]
    return "deletionTimestamp" in meta and ORPHAN in (meta.get("finalizers") or ())


def blocks(dependent: Manifest, owner_uid: str) -> bool:
    """Say whether an owner that deletes its dependents first has to wait for this one."""
    return any(
        ref["uid"] == owner_uid and ref.get("blockOwnerDeletion")
        for ref in dependent["metadata"].get("ownerReferences") or ()
    )


def without_owner(obj: Manifest, uid: str) -> Manifest:
    """Return an object without its reference to an owner."""
    meta = obj["metadata"]
    left = [ref for ref in meta.get("ownerReferences") or () if ref["uid"] != uid]
    rest = {key: value for key, value in meta.items() if key != "ownerReferences"}
    return {**obj, "metadata": {**rest, "ownerReferences": left} if left else rest}


def without_finalizers(obj: Manifest, names: Iterable[str]) -> Manifest:
    """Return an object without some finalizers."""
    meta, gone = obj["metadata"], set(names)
    left = [name for name in meta.get("finalizers") or () if name not in gone]
    rest = {key: value for key, value in meta.items() if key != "finalizers"}
    return {**obj, "metadata": {**rest, "finalizers": left} if left else rest}
