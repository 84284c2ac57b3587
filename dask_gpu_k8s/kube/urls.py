"""Where a request goes: paths and query strings of the Kubernetes API, computed without I/O.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import quote, urlencode

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import Resource

Param: TypeAlias = str | int | bool
"""What a query parameter may be; booleans become ``true`` and ``false``."""

Selector: TypeAlias = Mapping[str, str] | str
"""A label or field selector: pairs that must all be equal, or Kubernetes' own text form."""

ALL_NAMESPACES = "*"
"""Instead of a namespace: look into all of them (list and watch only)."""


def resource_path(
    resource: Resource, namespace: str | None = None, name: str | None = None, sub: str | None = None
) -> str:
    """Write the path of a collection, an object or a subresource.

    Parameters
    ----------
    resource : Resource
        Kind of the object.
    namespace : str, optional
        Namespace, or `ALL_NAMESPACES`. Ignored for kinds that live in none.
    name : str, optional
        Name of the object; without it the path is the collection's.
    sub : str, optional
        Subresource, e.g. ``"status"``.

    Returns
    -------
    str
        e.g. ``"/api/v1/namespaces/default/pods/web/log"``.

    Raises
    ------
    ValueError
        If the path cannot exist: no namespace for a namespaced kind, one object sought in all
        namespaces, a subresource of nothing, an empty name.
    """
    if name == "":
        raise ValueError(f"The name of a {resource.singular} must not be empty.")
    if sub and name is None:
        raise ValueError(f"The subresource {sub!r} of {resource.full_name} needs the name of an object.")
    parts = ["apis", resource.group, resource.version] if resource.group else ["api", resource.version]
    if resource.namespaced:
        parts += _namespace_parts(resource, namespace, name)
    parts.append(resource.plural)
    parts += [part for part in (name, sub) if part]
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _namespace_parts(resource: Resource, namespace: str | None, name: str | None) -> list[str]:
    if not namespace:
        raise ValueError(f"{resource.full_name} live in a namespace, and none was given.")
    if namespace != ALL_NAMESPACES:
        return ["namespaces", namespace]
    if name is not None:
        raise ValueError(f"One {resource.singular} ({name!r}) lives in one namespace, not in all of them.")
    return []


def selector(wanted: Selector | None) -> str | None:
    """Write a selector as Kubernetes reads it, or ``None`` if it selects everything."""
    if wanted is None or isinstance(wanted, str):
        return wanted or None
    return labels.selector(dict(wanted)) or None


def query(params: Mapping[str, Param | None]) -> str:
    """Write a query string with its leading ``?``; parameters that are ``None`` are left out."""
    given = [(key, _text(value)) for key, value in params.items() if value is not None]
    return "?" + urlencode(given) if given else ""


def _text(value: Param) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe(verb: str, resource: Resource, namespace: str | None, name: str | None, sub: str | None) -> str:
    """Say in a few words what is asked, for messages: ``"patch daskclusters/status default/demo"``."""
    what = f"{resource.full_name}/{sub}" if sub else resource.full_name
    if not resource.namespaced or namespace == ALL_NAMESPACES or namespace is None:
        where = name or ""
    else:
        where = f"{namespace}/{name}" if name else f"in {namespace}"
    return f"{verb} {what} {where}".rstrip()
