"""What a request asks for, in the words of RBAC, and what rules allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.http.paths import parse_path

UPGRADES = ("attach", "exec", "portforward")
"""Subresources of Pods for which Kubernetes has asked for the right to get, and for that to create, too."""

_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update"}


@dataclass(frozen=True)
class Asked:
    """A right that a request takes."""

    verb: str
    group: str
    resource: str
    namespace: str | None
    name: str | None

    @property
    def refusal(self) -> str:
        """What an API server says to whom lacks it."""
        plural = self.resource.partition("/")[0]
        what = f"{plural}.{self.group}" if self.group else plural
        named = f' "{self.name}"' if self.name else ""
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return (
            f'{what}{named} is forbidden: User "test" cannot {self.verb} resource "{self.resource}" '
            f'in API group "{self.group}" {where}'
        )


def rights_for(method: str, path: str, query: Mapping[str, str]) -> list[Asked]:
    """Say which rights a request takes; none for what everybody may read."""
    target = parse_path(path)
    if target is None:
        return []
    if method == "GET":
        verb = "get" if target.name else "watch" if "watch" in query else "list"
    elif method == "DELETE":
        verb = "delete" if target.name else "deletecollection"
    else:
        verb = _VERBS[method]
    resource = f"{target.plural}/{target.sub}" if target.sub else target.plural
    verbs = ["create", "get"] if target.sub in UPGRADES else [verb]
    return [Asked(verb, target.group, resource, target.namespace, target.name) for verb in verbs]


def covers(rules: Iterable[Manifest], asked: Asked) -> bool:
    """Say whether one of the ``rules`` of a Role gives a right."""
    return any(
        {asked.group, "*"} & {*rule["apiGroups"]}
        and {asked.resource, "*"} & {*rule["resources"]}
        and {asked.verb, "*"} & {*rule["verbs"]}
        and (not rule.get("resourceNames") or asked.name in rule["resourceNames"])
        for rule in rules
    )
