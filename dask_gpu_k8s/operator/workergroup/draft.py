"""The plan for a group while it is being written."""

from __future__ import annotations

from dataclasses import dataclass, field

from dask_gpu_k8s.operator.engine.actions import Action, Plan, soonest


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
