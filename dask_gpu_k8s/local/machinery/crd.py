"""CustomResourceDefinitions: what makes one valid, and the kinds that it brings.

Source: Kubernetes' documentation, "CustomResourceDefinitions". Not evaluated here: CEL rules and conversion
webhooks; the first lead to a warning, the second are refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause
from dask_gpu_k8s.local.machinery import naming
from dask_gpu_k8s.local.machinery.crd_schema import check_schema
from dask_gpu_k8s.local.machinery.kinds import Kind, Scale
from dask_gpu_k8s.local.machinery.metadata import timestamp
from dask_gpu_k8s.local.printing import jsonpath
from dask_gpu_k8s.local.printing.table import custom_printer

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""Finalizer of a CRD that is being deleted: its objects go first."""

_NAMES = ("plural", "singular", "shortNames", "kind", "listKind", "categories")


def fill(crd: Manifest, _old: Manifest | None = None) -> Manifest:
    """Fill in the names and the conversion that a CRD leaves out."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    kind = names.get("kind", "")
    names = {"singular": kind.lower(), "listKind": f"{kind}List", **names}
    return {**crd, "spec": {"conversion": {"strategy": "None"}, **spec, "names": names}}


def check(crd: Manifest, old: Manifest | None) -> list[Cause]:
    """Say what is wrong with a CRD."""
    spec = crd.get("spec") or {}
    if not spec.get("versions"):
        text = "Required value: must have at least one version"
        return [Cause("spec.versions", text, "FieldValueRequired")]
    causes = _check_names(crd, spec) + _check_versions(spec["versions"])
    if spec["conversion"].get("strategy") != "None":
        shown = spec["conversion"].get("strategy")
        text = f'Unsupported value: "{shown}": supported here: "None" (no webhooks are called)'
        causes.append(Cause("spec.conversion.strategy", text, "FieldValueNotSupported"))
    if spec.get("preserveUnknownFields"):
        text = "Invalid value: true: must be false in apiextensions.k8s.io/v1"
        causes.append(Cause("spec.preserveUnknownFields", text))
    return causes + (_check_unchanged(spec, old["spec"]) if old else [])


def _check_names(crd: Manifest, spec: Manifest) -> list[Cause]:
    group, names = spec.get("group", ""), spec.get("names", {})
    wanted, name = f"{names.get('plural')}.{group}", crd["metadata"].get("name", "")
    causes = []
    if name != wanted:
        text = 'must be spec.names.plural+"."+spec.group'
        causes.append(Cause("metadata.name", f'Invalid value: "{name}": {text}'))
    if "." not in group or naming.subdomain(group):
        text = f'Invalid value: "{group}": should be a domain with at least one dot'
        causes.append(Cause("spec.group", text))
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        shown = spec.get("scope", "")
        text = f'Unsupported value: "{shown}": supported values: "Cluster", "Namespaced"'
        causes.append(Cause("spec.scope", text, "FieldValueNotSupported"))
    for key in ("plural", "singular"):
        shown = names.get(key, "")
        causes += [
            Cause(f"spec.names.{key}", f'Invalid value: "{shown}": {text}') for text in naming.dns1035(shown)
        ]
    return causes


def _check_versions(versions: list[Manifest]) -> list[Cause]:
    causes: list[Cause] = []
    if sum(1 for version in versions if version.get("storage")) != 1:
        text = "must have exactly one version marked as storage version"
        causes.append(Cause("spec.versions", f"Invalid value: {text}"))
    if len({version["name"] for version in versions}) != len(versions):
        causes.append(Cause("spec.versions", "Invalid value: must contain unique version names"))
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            where = f"{path}.schema.openAPIV3Schema"
            causes.append(Cause(where, "Required value", "FieldValueRequired"))
        else:
            causes += check_schema(schema, f"{path}.schema.openAPIV3Schema")
        causes += _check_columns(version, path) + _check_scale(version, path)
    return causes


def _check_columns(version: Manifest, path: str) -> list[Cause]:
    causes = []
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        problem = jsonpath.check_path(column.get("jsonPath", ""))
        if problem:
            where = f"{path}.additionalPrinterColumns[{index}].jsonPath"
            causes.append(Cause(where, f'Invalid value: "{column.get("jsonPath")}": {problem}'))
    return causes


def _check_scale(version: Manifest, path: str) -> list[Cause]:
    scale = (version.get("subresources") or {}).get("scale")
    if scale is None:
        return []
    causes = []
    roots = {"specReplicasPath": ".spec.", "statusReplicasPath": ".status."}
    for key, root in roots.items():
        shown = scale.get(key, "")
        if not shown.startswith(root):
            text = f'Invalid value: "{shown}": should be a json path under {root[:-1]}'
            causes.append(Cause(f"{path}.subresources.scale.{key}", text))
    return causes


def _check_unchanged(spec: Manifest, before: Manifest) -> list[Cause]:
    causes = []
    for key, new, old in (
        ("group", spec.get("group"), before.get("group")),
        ("scope", spec.get("scope"), before.get("scope")),
        ("names.plural", spec["names"].get("plural"), before["names"].get("plural")),
        ("names.kind", spec["names"].get("kind"), before["names"].get("kind")),
    ):
        if new != old:
            causes.append(Cause(f"spec.{key}", f'Invalid value: "{new}": field is immutable'))
    return causes


def start(crd: Manifest, now: datetime) -> Manifest:
    """Give a new CRD its status."""
    spec = crd["spec"]
    storage = next(version["name"] for version in spec["versions"] if version["storage"])
    conditions = [
        {
            "type": kind,
            "status": "True",
            "lastTransitionTime": timestamp(now),
            "reason": reason,
            "message": message,
        }
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    status = {
        "conditions": conditions,
        "acceptedNames": {key: spec["names"][key] for key in _NAMES if key in spec["names"]},
        "storedVersions": [storage],
    }
    return {**crd, "status": status}


def kinds_of(crd: Manifest) -> list[Kind]:
    """Make the kinds that a CRD brings, one for each served version."""
    versions = crd["spec"]["versions"]
    storage = next(version["name"] for version in versions if version["storage"])
    return [_kind(crd["spec"], version, storage) for version in versions if version["served"]]


def _kind(spec: Manifest, version: Manifest, storage: str) -> Kind:
    names, subresources = spec["names"], version.get("subresources") or {}
    schema = version["schema"]["openAPIV3Schema"]
    selectable = [field["jsonPath"].lstrip(".") for field in version.get("selectableFields") or ()]
    scale = subresources.get("scale")
    return Kind(
        resource=Resource(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            names["singular"],
            tuple(names.get("shortNames") or ()),
            spec["scope"] == "Namespaced",
            tuple(subresources),
        ),
        printer=custom_printer(version.get("additionalPrinterColumns") or []),
        schema=lambda: schema,
        custom=True,
        categories=tuple(names.get("categories") or ()),
        fields={path: path for path in selectable},
        has_status="status" in subresources,
        has_generation=True,
        needs_version=True,
        listed_as=names.get("listKind", ""),
        storage_version=storage,
        scale=_scale(scale) if scale else None,
    )


def _scale(paths: dict[str, Any]) -> Scale:
    return Scale(paths["specReplicasPath"], paths["statusReplicasPath"], paths.get("labelSelectorPath"))
