"""Services: their defaults and rules, and the addresses and node ports that they are given.

Source: Kubernetes' documentation, "Service".
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause
from dask_gpu_k8s.local.machinery.store import Change, Store, Table

SERVICE_NETWORK = "127.96.0.0/16"
"""Services get addresses of this network, which every Linux machine has without being asked."""
NODE_PORTS = range(30000, 32768)
_OWN_PORTS = 35
"""How far apart two local Kubernetes of one machine begin to look for node ports, which they share."""

_TABLE: Table = ("", "services")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


class ServiceAddresses:
    """Which addresses and node ports the stored Services hold, and free ones for new Services."""

    def __init__(self, store: Store, network: str = SERVICE_NETWORK) -> None:
        self._network = ipaddress.ip_network(network)
        self._addresses: dict[str, tuple[str, str]] = {}
        self._ports: dict[int, tuple[str, str]] = {}
        self._next = 10
        store.listen(self._note)

    def _note(self, table: Table, change: Change) -> None:
        if table != _TABLE:
            return
        if change.old:
            for held in _held(change.old.obj):
                self._addresses.pop(str(held), None)
                self._ports.pop(held if isinstance(held, int) else -1, None)
        if change.type != "DELETED":
            for held in _held(change.new.obj):
                if isinstance(held, int):
                    self._ports[held] = change.key
                else:
                    self._addresses[held] = change.key

    def _free_address(self) -> str:
        size = self._network.num_addresses - 2
        for _ in range(size):
            self._next = self._next % size + 1
            address = str(self._network[self._next])
            if address not in self._addresses:
                return address
        raise RuntimeError(f"all addresses of {self._network} are taken by Services")

    def fill(self, service: Manifest, old: Manifest | None) -> Manifest:
        """Fill in the defaults of a Service, an address and node ports; those it has had it keeps."""
        spec = {"type": "ClusterIP", "sessionAffinity": "None", **(service.get("spec") or {})}
        before = (old or {}).get("spec", {})
        if spec["type"] == "ExternalName":
            return {**service, "spec": spec}
        spec = {**spec, "internalTrafficPolicy": spec.get("internalTrafficPolicy", "Cluster")}
        address = spec.get("clusterIP") or before.get("clusterIP") or self._free_address()
        spec["clusterIP"], spec["clusterIPs"] = address, [address]
        spec.update({"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
        outside = spec["type"] in ("NodePort", "LoadBalancer")
        if outside:
            spec.setdefault("externalTrafficPolicy", "Cluster")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("allocateLoadBalancerNodePorts", True)
        if spec.get("ports"):
            spec["ports"] = list(self._ports_of(spec["ports"], before.get("ports") or [], outside))
        return {**service, "spec": spec}

    def _ports_of(self, ports: list[Manifest], before: list[Manifest], outside: bool) -> Iterator[Manifest]:
        given = {port["nodePort"] for port in ports if port.get("nodePort")}
        known = {_port_key(port): port.get("nodePort") for port in before}
        for port in ports:
            filled = {"protocol": "TCP", "targetPort": port.get("port"), **port}
            if outside and not filled.get("nodePort"):
                filled["nodePort"] = known.get(_port_key(filled)) or self._free_port(given)
                given.add(filled["nodePort"])
            elif not outside:
                filled.pop("nodePort", None)
            yield filled

    def _free_port(self, given: set[int]) -> int:
        # A network is two /16 (one for Pods): its number tells which Kubernetes of this machine this is.
        first = (int(self._network.network_address) >> 17) * _OWN_PORTS % len(NODE_PORTS)
        for port in itertools.chain(NODE_PORTS[first:], NODE_PORTS[:first]):
            if port not in self._ports and port not in given:
                return port
        raise RuntimeError("all node ports are taken by Services")

    def check(self, service: Manifest, old: Manifest | None) -> list[Cause]:
        """Say what is wrong with a Service."""
        spec = service["spec"]
        causes = list(_check_type(spec)) + list(_check_ports(spec))
        before = (old or {}).get("spec", {})
        address = spec.get("clusterIP")
        if before.get("clusterIP") and before["clusterIP"] != address and spec["type"] != "ExternalName":
            shown = f'["{address}"]'
            text = f"Invalid value: {shown}: may not change once set"
            causes.append(Cause("spec.clusterIPs[0]", text))
        elif address not in (None, "None") and not before:
            causes += self._check_address(str(address))
        for index, port in enumerate(spec.get("ports") or ()):
            causes += self._check_node_port(port, f"spec.ports[{index}].nodePort", before)
        return causes

    def _check_address(self, address: str) -> Iterator[Cause]:
        path = "spec.clusterIPs"
        try:
            inside = ipaddress.ip_address(address) in self._network
        except ValueError:
            yield Cause(f"{path}[0]", f'Invalid value: "{address}": must be a valid IP address')
            return
        shown = f'Invalid value: ["{address}"]: failed to allocate IP {address}'
        if not inside:
            text = f"the provided IP is not in the valid range. The range of valid IPs is {self._network}"
            yield Cause(path, f"{shown}: {text}")
        elif address in self._addresses:
            yield Cause(path, f"{shown}: provided IP is already allocated")

    def _check_node_port(self, port: Manifest, path: str, before: Manifest) -> Iterator[Cause]:
        number = port.get("nodePort")
        if not number or number in {known.get("nodePort") for known in before.get("ports") or ()}:
            return
        if number not in NODE_PORTS:
            text = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            yield Cause(path, f"Invalid value: {number}: {text}")
        elif number in self._ports:
            yield Cause(path, f"Invalid value: {number}: provided port is already allocated")


def _held(service: Manifest) -> Iterator[str | int]:
    spec = service.get("spec", {})
    if spec.get("clusterIP") not in (None, "", "None"):
        yield spec["clusterIP"]
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield port["nodePort"]


def _port_key(port: Manifest) -> tuple[Any, Any]:
    return port.get("port"), port.get("protocol", "TCP")


def _check_type(spec: Manifest) -> Iterator[Cause]:
    if spec["type"] not in _TYPES:
        supported = ", ".join(f'"{name}"' for name in _TYPES)
        text = f'Unsupported value: "{spec["type"]}": supported values: {supported}'
        yield Cause("spec.type", text, "FieldValueNotSupported")
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        yield Cause("spec.externalName", "Required value", "FieldValueRequired")


def _check_ports(spec: Manifest) -> Iterator[Cause]:
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None" or spec["type"] == "ExternalName"
    if not ports and not headless:
        yield Cause("spec.ports", "Required value", "FieldValueRequired")
    seen: set[Any] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name", "")
        if len(ports) > 1 and not name:
            yield Cause(f"{path}.name", "Required value", "FieldValueRequired")
        if name and name in seen:
            yield Cause(f"{path}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate")
        seen.add(name)
        for key in ("port", "targetPort"):
            number = port.get(key)
            if isinstance(number, int) and not 0 < number < 65536:
                text = f"Invalid value: {number}: must be between 1 and 65535, inclusive"
                yield Cause(f"{path}.{key}", text)


def start(service: Manifest) -> Manifest:
    """Give a new Service its first status."""
    return {**service, "status": {"loadBalancer": {}}}
