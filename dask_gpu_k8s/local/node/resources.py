"""What a Pod asks of a node: requests added up as the scheduler does, and its quality-of-service class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from dask_gpu_k8s.api.quantity import parse_quantity
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import all_containers, init_containers, main_containers

GPU = "nvidia.com/gpu"

Amounts = Mapping[str, Decimal]


def container_requests(container: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return the requests of one container; where only a limit is said, that is the request."""
    resources = container.get("resources") or {}
    said = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_quantity(amount) for name, amount in said.items()}


def pod_requests(pod: Manifest) -> dict[str, Decimal]:
    """Return the requests of a Pod: sum of its containers or largest init container, if more."""
    together = _sum(container_requests(container) for container in main_containers(pod))
    for container in init_containers(pod):
        for name, amount in container_requests(container).items():
            together[name] = max(together.get(name, Decimal(0)), amount)
    overhead = {name: parse_quantity(value) for name, value in (pod["spec"].get("overhead") or {}).items()}
    return _sum([together, overhead])


def total(pods: Iterable[Manifest]) -> dict[str, Decimal]:
    """Return what several Pods request together, themselves counted as ``pods``."""
    asked = [pod_requests(pod) for pod in pods]
    return _sum([*asked, {"pods": Decimal(len(asked))}])


def _sum(parts: Iterable[Amounts]) -> dict[str, Decimal]:
    amounts: dict[str, Decimal] = {}
    for part in parts:
        for name, amount in part.items():
            amounts[name] = amounts.get(name, Decimal(0)) + amount
    return amounts


def gpus_of(container: Mapping[str, Any]) -> int:
    """Return how many GPUs a container asks for."""
    return int(container_requests(container).get(GPU, 0))


def qos_class(pod: Manifest) -> str:
    """``Guaranteed``, ``Burstable`` or ``BestEffort``, by the requests and limits of cpu and memory."""
    asked = False
    guaranteed = True
    for container in all_containers(pod):
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        for name in ("cpu", "memory"):
            asked = asked or name in requests
            same = name in limits and parse_quantity(limits[name]) == parse_quantity(requests[name])
            guaranteed = guaranteed and same
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
