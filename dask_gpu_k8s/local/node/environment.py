"""The environment of a container: variables in the kubelet's order, and ``$(VAR)`` where it may stand.

Source: Kubernetes' documentation, "Define Dependent Environment Variables" and "Expose Pod Information".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from dask_gpu_k8s.api.quantity import parse_quantity
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import Problem, all_containers

_REFERENCE = re.compile(r"\$(?:(\$)|\(([^)]*)\))")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")

Lookup = Callable[[str, str], Manifest | None]
"""Return the ``ConfigMap`` or ``Secret`` (first argument) of a name in the Pod's namespace."""


class NotConfigured(Exception):
    """A container cannot be created because something that its specification names is not there."""

    def __init__(self, message: str, reason: str = "CreateContainerConfigError") -> None:
        super().__init__(message)
        self.problem = Problem(reason, message)


@dataclass(frozen=True)
class Surroundings:
    """Where a container runs.

    Attributes
    ----------
    pod : Manifest
        The Pod as the API has it.
    address, host : str
        The Pod's and the node's address.
    allocatable : mapping of str to Decimal
        What the node has: the limit of a container that has none.
    services : sequence of Manifest
        Services of the Pod's namespace, for ``enableServiceLinks``.
    lookup : callable
        Finds ConfigMaps and Secrets.
    always : mapping of str to str
        Variables that tell every Pod where the API server is.
    """

    pod: Manifest
    address: str
    host: str
    allocatable: Mapping[str, Decimal]
    services: Iterable[Manifest]
    lookup: Lookup
    always: Mapping[str, str]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by its value; ``$$`` is a plain ``$``, and unknown names stay as they are."""

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def container_variables(container: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
    """Compute the variables that a container's specification and the cluster give it.

    Parameters
    ----------
    container : mapping
        One entry of ``spec.containers``.
    around : Surroundings
        Where it runs.

    Returns
    -------
    dict of str to str

    Raises
    ------
    NotConfigured
        If a ConfigMap, Secret or key is missing and not optional, or a field cannot be given.
    """
    links = around.pod["spec"].get("enableServiceLinks") is not False
    variables = {**(service_variables(around.services) if links else {}), **around.always}
    for source in container.get("envFrom") or []:
        variables.update(_all_of(source, around))
    for entry in container.get("env") or []:
        value = _value(entry, container, around, variables)
        if value is not None:
            variables[entry["name"]] = value
    return variables


def command_line(container: Mapping[str, Any], variables: Mapping[str, str]) -> list[str]:
    """Compute what a container executes.

    There is no image and so no entrypoint: without a command, args are the command. That is what the
    entrypoints of Dask's and RAPIDS' images come to, which execute their arguments.

    Raises
    ------
    NotConfigured
        If there is neither.
    """
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    if not words:
        message = (
            "no command specified: images are not pulled here, so there is no entrypoint; "
            "give the container a command or args"
        )
        raise NotConfigured(message, "CreateContainerError")
    return [expand(word, variables) for word in words]


def service_variables(services: Iterable[Manifest]) -> dict[str, str]:
    """Compute the variables that announce Services to Pods, in both of their old forms."""
    variables: dict[str, str] = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        ports = service["spec"].get("ports") or []
        if not ports or not address or address == "None":
            continue
        prefix = service["metadata"]["name"].upper().replace("-", "_")
        first = ports[0]
        variables[f"{prefix}_SERVICE_HOST"] = address
        variables[f"{prefix}_SERVICE_PORT"] = str(first["port"])
        variables[f"{prefix}_PORT"] = f"{first.get('protocol', 'TCP').lower()}://{address}:{first['port']}"
        for port in ports:
            variables.update(_port_variables(prefix, address, port))
    return variables


def _port_variables(prefix: str, address: str, port: Mapping[str, Any]) -> dict[str, str]:
    protocol = port.get("protocol", "TCP")
    number = str(port["port"])
    link = f"{prefix}_PORT_{number}_{protocol}"
    variables = {
        link: f"{protocol.lower()}://{address}:{number}",
        f"{link}_PROTO": protocol.lower(),
        f"{link}_PORT": number,
        f"{link}_ADDR": address,
    }
    if port.get("name"):
        variables[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = number
    return variables


def _all_of(source: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
    """Every key of a ConfigMap or Secret, under the prefix that ``envFrom`` says."""
    prefix = source.get("prefix") or ""
    kind, reference = ("Secret", source.get("secretRef")) if "secretRef" in source else (
        "ConfigMap", source.get("configMapRef") or {},
    )  # fmt: skip
    data = _data(kind, reference or {}, around)
    return {prefix + key: value for key, value in data.items()}


def _data(kind: str, reference: Mapping[str, Any], around: Surroundings) -> dict[str, str]:
    name = reference.get("name", "")
    found = around.lookup(kind, name)
    if found is None:
        if reference.get("optional"):
            return {}
        raise NotConfigured(f'{kind.lower()} "{name}" not found')
    data = found.get("data") or {}
    if kind == "ConfigMap":
        return dict(data)
    return {key: _decode(value) for key, value in data.items()}


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="surrogateescape")
    except binascii.Error:
        return ""


def _value(
    entry: Mapping[str, Any],
    container: Mapping[str, Any],
    around: Surroundings,
    variables: Mapping[str, str],
) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value") or "", variables)
    if "fieldRef" in source:
        return _field(source["fieldRef"].get("fieldPath", ""), around)
    if "resourceFieldRef" in source:
        return _resource(source["resourceFieldRef"], container, around)
    for form, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if form in source:
            return _key(kind, source[form], around)
    raise NotConfigured(f"env {entry['name']}: this node cannot give {', '.join(source)}")


def _key(kind: str, reference: Mapping[str, Any], around: Surroundings) -> str | None:
    data = _data(kind, reference, around)
    key = reference.get("key", "")
    if key in data:
        return data[key]
    if reference.get("optional"):
        return None
    where = f"{around.pod['metadata']['namespace']}/{reference.get('name', '')}"
    raise NotConfigured(f"couldn't find key {key} in {kind} {where}")


def _field(path: str, around: Surroundings) -> str:
    meta, spec = around.pod["metadata"], around.pod["spec"]
    if match := _KEYED.fullmatch(path):
        return str((meta.get(match[1]) or {}).get(match[2], ""))
    fields = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName") or "default",
        "status.hostIP": around.host,
        "status.hostIPs": around.host,
        "status.podIP": around.address,
        "status.podIPs": around.address,
    }
    if path not in fields:
        raise NotConfigured(
            f"fieldRef {path!r} is not one of {', '.join(sorted(fields))}, labels, annotations"
        )
    return str(fields[path])


def _resource(reference: Mapping[str, Any], own: Mapping[str, Any], around: Surroundings) -> str:
    named = reference.get("containerName") or own["name"]
    container = next((c for c in all_containers(around.pod) if c["name"] == named), own)
    side, _, resource = reference.get("resource", "").partition(".")
    amounts = (container.get("resources") or {}).get(side) or {}
    limits = (container.get("resources") or {}).get("limits") or {}
    said = amounts.get(resource, limits.get(resource))
    amount = around.allocatable.get(resource, Decimal(0)) if said is None else parse_quantity(said)
    divisor = parse_quantity(reference.get("divisor") or 1) or Decimal(1)
    return str(int((amount / divisor).to_integral_value(ROUND_CEILING)))
