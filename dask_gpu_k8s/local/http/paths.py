"""What a path of the API asks for.

Source: Kubernetes' documentation, "API concepts: Resource URIs".
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

_OF_NAMESPACES = ("status", "finalize")
"""Subresources of namespaces; what else follows a namespace's name is a kind in it."""


@dataclass(frozen=True)
class Target:
    """A kind, an object or a part of one.

    Attributes
    ----------
    group, version, plural : str
    namespace : str or None
    name : str or None
    sub : str or None
        Subresource, e.g. ``"status"``.
    """

    group: str
    version: str
    plural: str
    namespace: str | None = None
    name: str | None = None
    sub: str | None = None


def parse_path(path: str) -> Target | None:
    """Read a path below ``/api/v1`` or ``/apis/GROUP/VERSION``; None if it is of another form.

    Parameters
    ----------
    path : str
        As sent, percent-encoded.
    """
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if len(parts) > 2 and parts[0] == "api":
        return _below("", parts[1], parts[2:])
    if len(parts) > 3 and parts[0] == "apis":
        return _below(parts[1], parts[2], parts[3:])
    return None


def _below(group: str, version: str, rest: list[str]) -> Target | None:
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in _OF_NAMESPACES):
        namespace, rest = rest[1], rest[2:]
    if not all(rest) or len(rest) > 3:
        return None
    plural, name, sub = [*rest, None, None][:3]
    return Target(group, version, str(plural), namespace, name, sub)
