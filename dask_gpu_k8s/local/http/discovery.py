"""Discovery: which groups, versions and kinds there are, in the old form and the aggregated one.

Source: Kubernetes' documentation, "The Kubernetes API: Discovery API".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import no_such_path
from dask_gpu_k8s.local.machinery.kinds import Kind

_SUBRESOURCE_VERBS = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "log": ("get",),
    "exec": ("create", "get"),
    "portforward": ("create", "get"),
    "binding": ("create",),
    "eviction": ("create",),
    "finalize": ("update",),
}
_SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "exec": ("", "v1", "PodExecOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
}
OWN_OF_PODS = ("log", "exec", "portforward", "binding", "eviction")


def subresources(kind: Kind) -> tuple[str, ...]:
    """Name the subresources that are served for a kind."""
    found = ["status"] if kind.has_status else []
    if kind.scale:
        found.append("scale")
    if kind.graceful:
        found += OWN_OF_PODS
    if kind.resource.kind == "Namespace":
        found.append("finalize")
    return tuple(found)


def core_versions(address: str) -> Manifest:
    """Answer ``/api``."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def _versions(kinds: Iterable[Kind], group: str) -> list[str]:
    found = {kind.resource.version for kind in kinds if kind.resource.group == group}
    return sorted(found, key=_version_rank)


def _version_rank(version: str) -> tuple[Any, ...]:
    """Order versions as Kubernetes prefers them: v2, v1, v1beta1, v1alpha1, and others by name."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not match:
        return (1, version)
    major, stage, minor = match.groups()
    return (0, {None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0))


def groups(kinds: list[Kind]) -> Manifest:
    """Answer ``/apis``."""
    names = dict.fromkeys(kind.resource.group for kind in kinds if kind.resource.group)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(kinds, name) for name in names]}


def _group(kinds: list[Kind], name: str) -> Manifest:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version} for version in _versions(kinds, name)
    ]
    if not versions:
        raise no_such_path()
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def group(kinds: list[Kind], name: str) -> Manifest:
    """Answer ``/apis/GROUP``; StatusError 404 if there is none."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(kinds, name)}


def resource_list(kinds: list[Kind], group: str, version: str) -> Manifest:
    """Answer ``/api/v1`` or ``/apis/GROUP/VERSION``; StatusError 404 if there is none."""
    served = [k for k in kinds if (k.resource.group, k.resource.version) == (group, version)]
    if not served:
        raise no_such_path()
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [entry for kind in served for entry in _entries(kind)],
    }


def _entries(kind: Kind) -> Iterable[Manifest]:
    resource = kind.resource
    entry: Manifest = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(kind.verbs),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    yield entry
    for sub in subresources(kind):
        below: Manifest = {
            "name": f"{resource.plural}/{sub}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(_SUBRESOURCE_VERBS[sub]),
        }
        if sub in _SUBRESOURCE_KINDS:
            below["group"], below["version"], below["kind"] = _SUBRESOURCE_KINDS[sub]
        yield below


def aggregated(kinds: list[Kind], core: bool) -> Manifest:
    """Answer ``/api`` or ``/apis`` in the form that says everything at once."""
    names = dict.fromkeys(kind.resource.group for kind in kinds if (not kind.resource.group) == core)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name, "creationTimestamp": None}
                if name
                else {"creationTimestamp": None},
                "versions": [_version(kinds, name, version) for version in _versions(kinds, name)],
            }
            for name in names
        ],
    }


def _version(kinds: list[Kind], group: str, version: str) -> Manifest:
    served = [k for k in kinds if (k.resource.group, k.resource.version) == (group, version)]
    return {"version": version, "freshness": "Current", "resources": [_discovered(kind) for kind in served]}


def _discovered(kind: Kind) -> Manifest:
    resource = kind.resource
    entry: Manifest = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(kind.verbs),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    below = []
    for sub in subresources(kind):
        own = (resource.group, resource.version, resource.kind)
        names = dict(zip(("group", "version", "kind"), _SUBRESOURCE_KINDS.get(sub, own), strict=True))
        below.append({"subresource": sub, "responseKind": names, "verbs": list(_SUBRESOURCE_VERBS[sub])})
    if below:
        entry["subresources"] = below
    return entry
