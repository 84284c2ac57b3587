"""How the parts of a cluster stand, in the operator's words: for progress, repr and widget alike. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.verdict import Verdict

ON_ITS_WAY = frozenset(
    {
        "AwaitsScheduler", "ClusterNotFound", "Completed", "ContainerCreating", "ContainersNotReady",
        "Creating", "NamespaceTerminating", "NotReady", "PodInitializing", "Pulling", "ScalingUp",
        "Scheduling", "SchedulingGated", "Suspended", "Terminating", "Unhealthy", "WorkersReady",
    }
)  # fmt: skip
"""Reasons for which a group may not be ready though nothing is wrong, its cluster's end among them."""

COLUMNS = ("", "wanted", "ready", "pending", "why")


@dataclass(frozen=True)
class Standing:
    """How a cluster's scheduler, or one of its worker groups, stands.

    Attributes
    ----------
    part : str
        ``"scheduler"``, or the group's name within the cluster.
    wanted, ready, unschedulable : int
        Pods.
    reason : str
        Why not all are ready, in one word; empty if all are, or nobody has said.
    message : str
        The same as a sentence.
    """

    part: str
    wanted: int
    ready: int
    unschedulable: int = 0
    reason: str = ""
    message: str = ""

    @property
    def is_trouble(self) -> bool:
        """Whether it will not be ready unless something changes."""
        return bool(self.reason) and self.reason not in ON_ITS_WAY

    @property
    def pending(self) -> str:
        """How many are not ready, and how many of them fit on no node."""
        number = max(0, self.wanted - self.ready)
        return f"{number} ({self.unschedulable} unschedulable)" if self.unschedulable else str(number)

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of a table with `COLUMNS`."""
        return self.part, str(self.wanted), str(self.ready), self.pending, self.message


def of_scheduler(verdict: Verdict) -> Standing:
    """Say how the scheduler stands."""
    ready = verdict.state == "ready"
    return Standing("scheduler", 1, int(ready), int(verdict.reason == "Unschedulable"), *_why(ready, verdict))


def _why(ready: bool, verdict: Verdict) -> tuple[str, str]:
    return ("", "") if ready else (verdict.reason, verdict.message or verdict.reason)


def wanted_workers(group: Manifest) -> int:
    """Return how many workers a DaskWorkerGroup asks for."""
    return int(group["spec"]["worker"].get("replicas", 1))


def of_group(group: Manifest) -> Standing:
    """Say how a worker group stands, from what the operator has written into its status.

    Parameters
    ----------
    group : Manifest
        The DaskWorkerGroup.
    """
    part = group["metadata"]["name"].removeprefix(names.worker_group(group["spec"]["cluster"], ""))
    status = group.get("status") or {}
    ready = int(status.get("readyReplicas") or 0)
    if status.get("observedGeneration") != group["metadata"].get("generation"):
        return Standing(part, wanted_workers(group), ready)
    wanted = int(status.get("desiredReplicas") or 0)
    unschedulable = int(status.get("unschedulableReplicas") or 0)
    said = told(group, "Ready")
    if said.get("status") != "False":
        return Standing(part, wanted, ready, unschedulable)
    return Standing(part, wanted, ready, unschedulable, said.get("reason") or "", said.get("message") or "")


def sentence(standings: Iterable[Standing]) -> str:
    """Say of every part that is not ready why; empty if all are."""
    return "; ".join(f"{each.part}: {each.message}" for each in standings if each.message)


def to_html(standings: Iterable[Standing]) -> str:
    """Write a table for a notebook; empty if there is nothing to show."""
    rows = "".join(_row("td", each.cells) for each in standings)
    return f"<table>{_row('th', COLUMNS)}{rows}</table>" if rows else ""


def _row(tag: str, cells: Iterable[str]) -> str:
    inner = "".join(f'<{tag} style="text-align: left;">{html.escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{inner}</tr>"
