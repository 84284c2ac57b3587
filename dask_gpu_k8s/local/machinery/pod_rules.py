"""What makes a Pod invalid, what of it may change later, and how it begins.

Source: Kubernetes' API reference (PodSpec, Container) and "Pod Quality of Service Classes".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from dask_gpu_k8s.api.quantity import parse_quantity
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import Cause
from dask_gpu_k8s.local.machinery import naming

_CHOICES = {
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
}
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_NATIVE = ("cpu", "memory", "ephemeral-storage")
_MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check(pod: Manifest, old: Manifest | None) -> list[Cause]:
    """Say what is wrong with a new or changed Pod."""
    spec = pod.get("spec") or {}
    if old is not None:
        return _check_change(spec, old["spec"])
    causes = list(_check_choices(spec))
    if not spec.get("containers"):
        causes.append(Cause("spec.containers", "Required value", "FieldValueRequired"))
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    for group in ("initContainers", "containers"):
        for index, entry in enumerate(spec.get(group) or ()):
            causes += _check_container(entry, f"spec.{group}[{index}]", volumes)
    causes += _check_unique(spec)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        shown = spec["terminationGracePeriodSeconds"]
        text = f"Invalid value: {shown}: must be greater than or equal to 0"
        causes.append(Cause("spec.terminationGracePeriodSeconds", text))
    return causes + naming.check_labels(spec.get("nodeSelector") or {}, "spec.nodeSelector")


def _choice(path: str, value: Any, allowed: tuple[str, ...]) -> Iterator[Cause]:
    if value not in allowed:
        supported = ", ".join(f'"{name}"' for name in allowed)
        text = f'Unsupported value: "{value}": supported values: {supported}'
        yield Cause(path, text, "FieldValueNotSupported")


def _check_choices(spec: Manifest) -> Iterator[Cause]:
    for key, allowed in _CHOICES.items():
        yield from _choice(f"spec.{key}", spec.get(key), allowed)


def _check_unique(spec: Manifest) -> Iterator[Cause]:
    seen: Counter[str] = Counter()
    for group in ("initContainers", "containers"):
        for index, entry in enumerate(spec.get(group) or ()):
            name = entry.get("name", "")
            seen[name] += 1
            if seen[name] > 1:
                path = f"spec.{group}[{index}].name"
                yield Cause(path, f'Duplicate value: "{name}"', "FieldValueDuplicate")


def _check_container(entry: Manifest, path: str, volumes: set[str | None]) -> Iterator[Cause]:
    # A name that is missing has been reported by the schema.
    if entry.get("name") is not None:
        for text in naming.label(entry["name"]):
            yield Cause(f"{path}.name", f'Invalid value: "{entry["name"]}": {text}')
    if not entry.get("image"):
        yield Cause(f"{path}.image", "Required value", "FieldValueRequired")
    yield from _choice(f"{path}.imagePullPolicy", entry.get("imagePullPolicy"), _PULL_POLICIES)
    for index, mount in enumerate(entry.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            where = f"{path}.volumeMounts[{index}].name"
            yield Cause(where, f'Not found: "{mount.get("name")}"', "FieldValueNotFound")
    for index, port in enumerate(entry.get("ports") or ()):
        number = port.get("containerPort", 1)
        if not 0 < number < 65536:
            text = f"Invalid value: {number}: must be between 1 and 65535, inclusive"
            yield Cause(f"{path}.ports[{index}].containerPort", text)
    yield from _check_resources(entry.get("resources") or {}, f"{path}.resources")


def _check_resources(resources: Manifest, path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            yield from _check_amount(name, amount, f"{path}.{side}[{name}]")
    for name, amount in requests.items():
        where = f"{path}.requests"
        counted = name not in _NATIVE and not name.startswith("hugepages-")
        if name not in limits:
            if counted:
                text = "Required value: Limit must be set for non overcommitable resources"
                yield Cause(f"{path}.limits", text, "FieldValueRequired")
            continue
        try:
            wanted, limit = parse_quantity(amount), parse_quantity(limits[name])
        except ValueError:
            continue
        if counted and wanted != limit:
            text = f'Invalid value: "{amount}": must be equal to {name} limit of {limits[name]}'
            yield Cause(where, text)
        elif wanted > limit:
            text = f'Invalid value: "{amount}": must be less than or equal to {name} limit of {limits[name]}'
            yield Cause(where, text)


def _check_amount(name: str, amount: Any, path: str) -> Iterator[Cause]:
    try:
        value = parse_quantity(amount)
    except ValueError:
        return  # reported by the schema's pattern
    if value < 0:
        yield Cause(path, f'Invalid value: "{amount}": must be greater than or equal to 0')
    elif "/" in name and value % 1:
        yield Cause(path, f'Invalid value: "{amount}": must be an integer')


def _check_change(spec: Manifest, old: Manifest) -> list[Cause]:
    if _fixed(spec) == _fixed(old) and _tolerations_grew(spec, old):
        return []
    text = f"Forbidden: pod updates may not change fields other than {_MAY_CHANGE}"
    return [Cause("spec", text, "FieldValueForbidden")]


def _fixed(spec: Manifest) -> Manifest:
    """Return the part of a Pod's spec that may not change."""
    fixed = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations")}
    for group in ("containers", "initContainers"):
        fixed[group] = [{**entry, "image": ""} for entry in spec.get(group) or ()]
    return fixed


def _tolerations_grew(spec: Manifest, old: Manifest) -> bool:
    now = spec.get("tolerations") or []
    return all(entry in now for entry in old.get("tolerations") or ())


def start(pod: Manifest) -> Manifest:
    """Give a new Pod its first status."""
    return {**pod, "status": {"phase": "Pending", "qosClass": qos_class(pod["spec"])}}


def qos_class(spec: Manifest) -> str:
    """Say how a Pod ranks when memory runs out: ``Guaranteed``, ``Burstable`` or ``BestEffort``."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    asked = [{side: _counted(entry, side) for side in ("limits", "requests")} for entry in containers]
    if not any(entry["limits"] or entry["requests"] for entry in asked):
        return "BestEffort"
    full = all(len(entry["limits"]) == 2 and entry["limits"] == entry["requests"] for entry in asked)
    return "Guaranteed" if full else "Burstable"


def _counted(entry: Manifest, side: str) -> Manifest:
    amounts = (entry.get("resources") or {}).get(side) or {}
    return {name: parse_quantity(amounts[name]) for name in ("cpu", "memory") if name in amounts}
