"""What a Pod asks of a node: requests added up as the scheduler does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from dask_gpu_k8s.api.quantity import parse_quantity
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import init_containers, main_containers

GPU = "nvidia.com/gpu"

Amounts = Mapping[str, Decimal]


def container_requests(container: Mapping[str, Any]) -> dict[str, Decimal]:
    """Return the requests of one container; where only a limit is said, that is the request."""
    resources = container.get("resources") or {}
    said = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_quantity(amount) for name, amount in said.items()}


def pod_requests(pod: Manifest) -> dict[str, Decimal]:
    """Return the requests of a Pod: sum of its containers or largest init container, if more."""
    together = add_up(container_requests(container) for container in main_containers(pod))
    for container in init_containers(pod):
        for name, amount in container_requests(container).items():
            together[name] = max(together.get(name, Decimal(0)), amount)
    overhead = {name: parse_quantity(value) for name, value in (pod["spec"].get("overhead") or {}).items()}
    return add_up([together, overhead])


def add_up(parts: Iterable[Amounts]) -> dict[str, Decimal]:
    """Add amounts name by name."""
    amounts: dict[str, Decimal] = {}
    for part in parts:
        for name, amount in part.items():
            amounts[name] = amounts.get(name, Decimal(0)) + amount
    return amounts


def gpus_of(container: Mapping[str, Any]) -> int:
    """Return how many GPUs a container asks for."""
    return int(container_requests(container).get(GPU, 0))
