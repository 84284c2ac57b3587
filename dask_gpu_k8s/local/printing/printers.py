"""How kubectl prints the built-in kinds other than Pods: columns, and the cells of one object."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.machinery.kinds import Column, Printer
from dask_gpu_k8s.local.printing.ages import age
from dask_gpu_k8s.local.printing.table import AGE, NAME

Cells = Callable[[Manifest, datetime], list[Any]]


def _created(obj: Manifest, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _name(obj: Manifest) -> str:
    return str(obj["metadata"]["name"])


def _wide(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, priority=1) for name in names)


def _columns(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)


def labels_text(labels: Manifest | None) -> str:
    """Show labels or a selector as ``a=b,c=d``."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def _service(obj: Manifest, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        _name(obj),
        spec.get("type", "ClusterIP"),
        spec.get("clusterIP") or "<none>",
        _external_ip(obj),
        ",".join(_port_text(port) for port in spec.get("ports") or ()) or "<none>",
        _created(obj, now),
        labels_text(spec.get("selector")),
    ]


def _external_ip(obj: Manifest) -> str:
    spec = obj["spec"]
    outside = list(spec.get("externalIPs") or ())
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", "<none>"))
    if spec.get("type") == "LoadBalancer":
        given = obj.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
        outside = [point.get("ip") or point.get("hostname") for point in given] + outside
        return ",".join(outside) or "<pending>"
    return ",".join(outside) or "<none>"


def _port_text(port: Manifest) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}"


SERVICE = Printer(
    (NAME, *_columns("Type", "Cluster-IP", "External-IP", "Port(s)"), AGE, *_wide("Selector")), _service
)


def _namespace(obj: Manifest, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("status", {}).get("phase", ""), _created(obj, now)]


NAMESPACE = Printer((NAME, Column("Status"), AGE), _namespace)


def _node(obj: Manifest, now: datetime) -> list[Any]:
    status = obj.get("status", {})
    info = status.get("nodeInfo", {})
    addresses = {entry["type"]: entry["address"] for entry in status.get("addresses") or ()}
    return [
        _name(obj),
        _node_state(obj),
        _roles(obj),
        _created(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _node_state(obj: Manifest) -> str:
    ready = [entry for entry in obj.get("status", {}).get("conditions") or () if entry["type"] == "Ready"]
    words = ["Ready" if entry["status"] == "True" else "NotReady" for entry in ready] or ["Unknown"]
    if obj.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(obj: Manifest) -> str:
    prefix = "node-role.kubernetes.io/"
    names = [key[len(prefix) :] for key in obj["metadata"].get("labels") or () if key.startswith(prefix)]
    return ",".join(sorted(names)) or "<none>"


NODE = Printer(
    (
        NAME,
        *_columns("Status", "Roles"),
        AGE,
        Column("Version"),
        *_wide("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
    ),
    _node,
)


def _event(obj: Manifest, now: datetime) -> list[Any]:
    about = obj.get("involvedObject", {})
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    count = series.get("count") or obj.get("count") or 1
    source = obj.get("source") or {}
    by = source.get("component") or obj.get("reportingComponent") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    return [
        age(last, now) if last else _created(obj, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        f"{by}, {host}" if host else by,
        (obj.get("message") or "").strip(),
        age(first, now) if first else _created(obj, now),
        count,
        _name(obj),
    ]


EVENT = Printer(
    (
        *_columns("Last Seen", "Type", "Reason", "Object"),
        *_wide("Subobject", "Source"),
        Column("Message"),
        *_wide("First Seen"),
        Column("Count", "integer", priority=1),
        Column("Name", priority=1, format="name"),
    ),
    _event,
)


def _counted(column: str, *fields: str) -> Printer:
    def cells(obj: Manifest, now: datetime) -> list[Any]:
        return [_name(obj), sum(len(obj.get(field) or ()) for field in fields), _created(obj, now)]

    return Printer((NAME, Column(column), AGE), cells)


CONFIGMAP = _counted("Data", "data", "binaryData")
SERVICEACCOUNT = _counted("Secrets", "secrets")


def _secret(obj: Manifest, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("type", ""), len(obj.get("data") or ()), _created(obj, now)]


SECRET = Printer((NAME, *_columns("Type", "Data"), AGE), _secret)


def _lease(obj: Manifest, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("spec", {}).get("holderIdentity") or "", _created(obj, now)]


LEASE = Printer((NAME, Column("Holder"), AGE), _lease)


def _crd(obj: Manifest, _now: datetime) -> list[Any]:
    return [_name(obj), obj["metadata"].get("creationTimestamp", "")]


CRD = Printer((NAME, Column("Created At", "date")), _crd)


def _endpoints(obj: Manifest, now: datetime) -> list[Any]:
    points = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return [_name(obj), _few(points), _created(obj, now)]


def _few(points: list[str]) -> str:
    more = f" + {len(points) - 3} more..." if len(points) > 3 else ""
    return (",".join(points[:3]) or "<none>") + more


ENDPOINTS = Printer((NAME, Column("Endpoints"), AGE), _endpoints)


def _slice(obj: Manifest, now: datetime) -> list[Any]:
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or ()]
    addresses = [address for point in obj.get("endpoints") or () for address in point["addresses"]]
    return [
        _name(obj),
        obj.get("addressType", ""),
        _few(ports).replace("<none>", "<unset>"),
        _few(addresses).replace("<none>", "<unset>"),
        _created(obj, now),
    ]


ENDPOINTSLICE = Printer((NAME, *_columns("AddressType", "Ports", "Endpoints"), AGE), _slice)


def _budget(obj: Manifest, now: datetime) -> list[Any]:
    spec = obj.get("spec", {})
    return [
        _name(obj),
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        obj.get("status", {}).get("disruptionsAllowed", 0),
        _created(obj, now),
    ]


BUDGET = Printer((NAME, *_columns("Min Available", "Max Unavailable", "Allowed Disruptions"), AGE), _budget)


def _network_policy(obj: Manifest, now: datetime) -> list[Any]:
    selected = obj.get("spec", {}).get("podSelector") or {}
    return [_name(obj), labels_text(selected.get("matchLabels")), _created(obj, now)]


NETWORKPOLICY = Printer((NAME, Column("Pod-Selector"), AGE), _network_policy)


def _quota(obj: Manifest, now: datetime) -> list[Any]:
    status = obj.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    parts = [(name, f"{name}: {used.get(name, '0')}/{limit}") for name, limit in sorted(hard.items())]
    limits = [text for name, text in parts if name.startswith("limits.")]
    requests = [text for name, text in parts if not name.startswith("limits.")]
    return [_name(obj), ", ".join(requests), ", ".join(limits), _created(obj, now)]


RESOURCEQUOTA = Printer((NAME, *_columns("Request", "Limit"), AGE), _quota)


def _role(obj: Manifest, _now: datetime) -> list[Any]:
    return [_name(obj), obj["metadata"].get("creationTimestamp", "")]


ROLE = Printer((NAME, Column("Created At", "date")), _role)


def _binding(obj: Manifest, now: datetime) -> list[Any]:
    ref = obj.get("roleRef", {})
    return [_name(obj), f"{ref.get('kind', '')}/{ref.get('name', '')}", _created(obj, now)]


BINDING = Printer((NAME, Column("Role"), AGE), _binding)
