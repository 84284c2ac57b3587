"""The plan for a group while it is being written, and the actions that it is written in."""

from __future__ import annotations

from dataclasses import dataclass, field

from dask_gpu_k8s.api.resources import DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import Action, Delete, Patch, Plan, soonest


@dataclass
class Draft:
    """A plan of two stages while it is being written."""

    first: list[Action] = field(default_factory=list)
    then: list[Action] = field(default_factory=list)
    wake_after: float | None = None

    def wake(self, seconds: float | None) -> None:
        """Look again after so many seconds at the latest."""
        self.wake_after = soonest(self.wake_after, seconds)

    def finish(self) -> Plan:
        """Return the plan."""
        stages = (tuple(self.first), tuple(self.then))
        return Plan(tuple(stage for stage in stages if stage), self.wake_after)


def delete_pod(pod: Manifest, *, unchanged: bool = False, grace_seconds: int | None = None) -> Delete:
    """Delete a Pod; with `unchanged` only if it is as it was seen."""
    meta = pod["metadata"]
    version = meta["resourceVersion"] if unchanged else None
    return Delete(POD, meta["namespace"], meta["name"], meta["uid"], version, grace_seconds)


def patch_group(group: Manifest, patch: Manifest | list[Manifest], sub: str | None = None) -> Patch:
    """Patch the group itself."""
    meta = group["metadata"]
    return Patch(DASKWORKERGROUP, meta["namespace"], meta["name"], patch, sub)
