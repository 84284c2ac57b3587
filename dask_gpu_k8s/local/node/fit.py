"""Whether a Pod fits a node, and in the scheduler's own words why not. Pure.

Source: the messages are those of kube-scheduler's default plugins for a cluster of one node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from dask_gpu_k8s.api.quantity import parse_quantity
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.resources import Amounts, pod_requests

_NEVER_PREEMPTED = "preemption: 0/1 nodes are available: 1 {}."


def why_unschedulable(pod: Manifest, node: Manifest, used: Amounts) -> str | None:
    """Say why a Pod cannot be bound to the only node.

    Parameters
    ----------
    pod : Manifest
        A Pod without a node.
    node : Manifest
        The node.
    used : mapping of str to Decimal
        What the Pods take that are bound and not ended, themselves counted as ``pods``.

    Returns
    -------
    str or None
        The message of the ``PodScheduled`` condition and the ``FailedScheduling`` event; ``None`` if it fits.
    """
    why = _refusals(pod, node)
    if why:
        helps = "Preemption is not helpful for scheduling"
    else:
        why = _shortages(pod, node, used)
        helps = "No preemption victims found for incoming pod"
    if not why:
        return None
    return f"0/1 nodes are available: {', '.join(why)}. {_NEVER_PREEMPTED.format(helps)}"


def _refusals(pod: Manifest, node: Manifest) -> list[str]:
    """Reasons that have nothing to do with other Pods; the first stands for all, as in the scheduler."""
    if node["spec"].get("unschedulable") and not _tolerates(pod, _UNSCHEDULABLE):
        return ["1 node(s) were unschedulable"]
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] != "PreferNoSchedule" and not _tolerates(pod, taint):
            return [f"1 node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"]
    if not _selected(pod, node):
        return ["1 node(s) didn't match Pod's node affinity/selector"]
    return []


_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def _shortages(pod: Manifest, node: Manifest, used: Amounts) -> list[str]:
    have = {name: parse_quantity(amount) for name, amount in node["status"]["allocatable"].items()}
    short = ["1 Too many pods"] if used.get("pods", 0) + 1 > have.get("pods", Decimal(0)) else []
    for name, amount in sorted(pod_requests(pod).items()):
        if amount and used.get(name, Decimal(0)) + amount > have.get(name, Decimal(0)):
            short.append(f"1 Insufficient {name}")
    return short


def _tolerates(pod: Manifest, taint: Mapping[str, str]) -> bool:
    return any(_matches(toleration, taint) for toleration in pod["spec"].get("tolerations") or [])


def _matches(toleration: Mapping[str, Any], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    operator = toleration.get("operator") or "Equal"
    if not toleration.get("key"):
        return operator == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return operator == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")


def _selected(pod: Manifest, node: Manifest) -> bool:
    """Whether ``nodeSelector`` and required node affinity let a Pod onto a node."""
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    wanted: Mapping[str, str] = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(
        all(_holds(each, labels) for each in term.get("matchExpressions") or [])
        and all(_holds(each, fields) for each in term.get("matchFields") or [])
        for term in required.get("nodeSelectorTerms") or []
        if term.get("matchExpressions") or term.get("matchFields")
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    return _OPERATORS[expression["operator"]](value, expression.get("values") or [])


_OPERATORS: Mapping[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: value is not None and int(value) > int(values[0]),
    "Lt": lambda value, values: value is not None and int(value) < int(values[0]),
}
