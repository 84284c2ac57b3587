"""Which Pods stand behind a Service: its Endpoints, EndpointSlice and routes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.api.conditions import holds
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import main_containers


@dataclass(frozen=True)
class Route:
    """Where connections to one port of a Service go.

    Attributes
    ----------
    address : str
        Address of the Service.
    port : int
        Port of the Service.
    node_port : int or None
        Port of the machine that leads there as well.
    targets : tuple of (str, int)
        Address and port of each ready endpoint.
    """

    address: str
    port: int
    node_port: int | None
    targets: tuple[tuple[str, int], ...]


def selected(service: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """Pods of the same namespace that a Service selects and that have an address, by name."""
    selector = service["spec"].get("selector")
    if not selector:
        return []
    namespace = service["metadata"]["namespace"]
    found = [pod for pod in pods if pod["metadata"]["namespace"] == namespace and _matches(pod, selector)]
    return sorted(filter(_has_address, found), key=lambda pod: str(pod["metadata"]["name"]))


def _matches(pod: Manifest, selector: Mapping[str, str]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _has_address(pod: Manifest) -> bool:
    status = pod.get("status") or {}
    return bool(status.get("podIP")) and status.get("phase") not in ("Succeeded", "Failed")


def is_ready(service: Manifest, pod: Manifest) -> bool:
    """Whether connections to a Service may go to a Pod."""
    if service["spec"].get("publishNotReadyAddresses"):
        return True
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return holds((pod.get("status") or {}).get("conditions"), "Ready")


def target_port(port: Mapping[str, Any], pod: Manifest) -> int | None:
    """Return the number of the Pod's port that a Service's port means; None if it has none of that name."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    if str(target).isdigit():
        return int(target)
    for container in main_containers(pod):
        for each in container.get("ports") or []:
            if each.get("name") == target:
                return int(each["containerPort"])
    return None


def routes(service: Manifest, pods: Iterable[Manifest]) -> list[Route]:
    """Compute where connections to a Service's address go, one route per TCP port."""
    address = service["spec"].get("clusterIP")
    if not address or address == "None":
        return []
    behind = [pod for pod in selected(service, pods) if is_ready(service, pod)]
    found = []
    for port in service["spec"].get("ports") or []:
        if port.get("protocol", "TCP") != "TCP":
            continue
        numbers = [(pod["status"]["podIP"], target_port(port, pod)) for pod in behind]
        targets = tuple((host, number) for host, number in numbers if number)
        found.append(Route(address, port["port"], port.get("nodePort"), targets))
    return found


def endpoints(service: Manifest, pods: Iterable[Manifest]) -> Manifest:
    """Make the Endpoints object of a Service."""
    subsets = []
    behind = selected(service, pods)
    for ports, members in _by_ports(service, behind):
        ready = [_address(pod) for pod in members if is_ready(service, pod)]
        unready = [_address(pod) for pod in members if not is_ready(service, pod)]
        subset = {"addresses": ready, "notReadyAddresses": unready, "ports": ports}
        subsets.append({key: value for key, value in subset.items() if value})
    meta = service["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": meta.get("labels") or {},
        },
        "subsets": subsets,
    }


def endpoint_slice(service: Manifest, pods: Iterable[Manifest]) -> Manifest:
    """Make the EndpointSlice object of a Service."""
    meta = service["metadata"]
    behind = selected(service, pods)
    groups = _by_ports(service, behind)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{meta['name']}-local",
            "namespace": meta["namespace"],
            "labels": {
                "kubernetes.io/service-name": meta["name"],
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(service, pod) for pod in behind],
        "ports": groups[0][0] if groups else [],
    }


def _endpoint(service: Manifest, pod: Manifest) -> Manifest:
    terminating = bool(pod["metadata"].get("deletionTimestamp"))
    ready = is_ready(service, pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": terminating},
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": _reference(pod),
    }


def _reference(pod: Manifest) -> Manifest:
    meta = pod["metadata"]
    return {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}


def _address(pod: Manifest) -> Manifest:
    return {
        "ip": pod["status"]["podIP"],
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": _reference(pod),
    }


def _by_ports(service: Manifest, pods: list[Manifest]) -> list[tuple[list[Manifest], list[Manifest]]]:
    """Group Pods by the port numbers that the Service's ports mean for them."""
    groups: list[tuple[list[Manifest], list[Manifest]]] = []
    for pod in pods:
        ports = []
        for port in service["spec"].get("ports") or []:
            number = target_port(port, pod)
            if number is not None:
                named = {"name": port["name"]} if port.get("name") else {}
                ports.append({**named, "port": number, "protocol": port.get("protocol", "TCP")})
        if not ports:
            continue
        members = next((members for known, members in groups if known == ports), None)
        if members is None:
            groups.append((ports, [pod]))
        else:
            members.append(pod)
    return groups
