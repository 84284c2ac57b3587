"""The metadata of objects: what a client may set, what the server assigns, what an update may change.

Source: Kubernetes' API conventions, "Metadata".
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause, bad_request, conflict
from dask_gpu_k8s.local.machinery import naming
from dask_gpu_k8s.local.machinery.kinds import Kind

_CLIENT_MAY_SET = ("labels", "annotations", "finalizers", "ownerReferences")
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own for generated names: no vowels, so no words; no look-alikes."""


def timestamp(moment: datetime) -> str:
    """Write a time as Kubernetes does, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def generated_name(prefix: str) -> str:
    """Complete a ``generateName`` by five random characters."""
    number = uuid.uuid4().int
    suffix = ""
    for _ in range(5):
        number, index = divmod(number, len(_ALPHABET))
        suffix += _ALPHABET[index]
    return prefix[:58] + suffix


def check_place(kind: Kind, obj: Manifest, namespace: str | None, name: str | None = None) -> None:
    """Refuse an object that names another place than the URL does."""
    metadata = obj["metadata"]
    sent = metadata.get("namespace")
    if sent and sent != (namespace or ""):
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
            if kind.resource.namespaced
            else "namespace may not be set on a cluster-wide kind"
        )
    if name is not None and metadata.get("name", name) != name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )


def _set_by_client(metadata: Manifest) -> Manifest:
    """Keep what clients own, dropping what is empty."""
    return {key: metadata[key] for key in _CLIENT_MAY_SET if metadata.get(key)}


def begin(kind: Kind, sent: Manifest, namespace: str | None, name: str, now: datetime) -> Manifest:
    """Make the metadata of a new object."""
    assigned: dict[str, Any] = {"name": name}
    if sent.get("generateName"):
        assigned["generateName"] = sent["generateName"]
    if kind.resource.namespaced:
        assigned["namespace"] = namespace
    assigned["uid"] = str(uuid.uuid4())
    if kind.has_generation:
        assigned["generation"] = 1
    assigned["creationTimestamp"] = timestamp(now)
    return {**assigned, **_set_by_client(sent)}


def carry_over(old: Manifest, sent: Manifest) -> Manifest:
    """Make the metadata of a changed object: the client's part from `sent`, the server's from `old`."""
    kept = {key: value for key, value in old.items() if key not in _CLIENT_MAY_SET}
    return {**kept, **_set_by_client(sent)}


def check_name(kind: Kind, name: str, generate_name: str) -> list[Cause]:
    """Say what is wrong with the name of a new object."""
    if not name and not generate_name:
        text = "Required value: name or generateName is required"
        return [Cause("metadata.name", text, "FieldValueRequired")]
    if not name:
        # A prefix may end with a dash; what is checked is what it may become.
        wrong = kind.name_rule(generate_name[:58] + "x")
        return [Cause("metadata.generateName", f'Invalid value: "{generate_name}": {text}') for text in wrong]
    return [Cause("metadata.name", f'Invalid value: "{name}": {text}') for text in kind.name_rule(name)]


def check(kind: Kind, metadata: Manifest, old: Manifest | None) -> list[Cause]:
    """Say what is wrong with labels, annotations, finalizers and owners."""
    causes = naming.check_labels(metadata.get("labels") or {})
    causes += naming.check_annotations(metadata.get("annotations") or {})
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        # Only the core kinds insist on a qualified name.
        core = kind.resource.group == ""
        if core and "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            causes.append(Cause(f"metadata.finalizers[{index}]", f'Invalid value: "{finalizer}": {text}'))
    causes += _check_owners(metadata.get("ownerReferences") or [])
    if old and metadata.get("uid", old["uid"]) != old["uid"]:
        causes.append(Cause("metadata.uid", f'Invalid value: "{metadata["uid"]}": field is immutable'))
    if old and old.get("deletionTimestamp"):
        added = set(metadata.get("finalizers") or ()) - set(old.get("finalizers") or ())
        if added:
            shown = ", ".join(f'"{name}"' for name in sorted(added))
            text = (
                "Forbidden: no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{shown}}}"
            )
            causes.append(Cause("metadata.finalizers", text, "FieldValueForbidden"))
    return causes


def _check_owners(owners: list[Manifest]) -> list[Cause]:
    causes = [
        Cause(f"metadata.ownerReferences.{key}", 'Invalid value: "": must not be empty')
        for owner in owners
        for key in ("apiVersion", "kind", "name", "uid")
        if not owner.get(key)
    ]
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        text = "Only one reference can have Controller set to true."
        causes.append(Cause("metadata.ownerReferences", f"Invalid value: {text}"))
    return causes


def check_preconditions(kind: Kind, obj: Manifest, uid: str | None, version: str | None) -> None:
    """Refuse with 409 to delete an object that is not the one that the client means."""
    metadata = obj["metadata"]
    for what, wanted, found, guess in (
        ("UID", uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", version, metadata["resourceVersion"], "modified"),
    ):
        if wanted and wanted != found:
            text = f"the {what} in the precondition ({wanted}) does not match the {what} in record ({found})"
            raise conflict(kind.resource, metadata["name"], f"{text}. The object might have been {guess}")


def check_uid(kind: Kind, old: Manifest, sent: Manifest) -> None:
    """Refuse with 409 to replace an object that is not the one that the client means."""
    wanted, found = sent.get("uid"), old["uid"]
    if wanted and wanted != found:
        text = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        raise conflict(kind.resource, old["name"], text)
