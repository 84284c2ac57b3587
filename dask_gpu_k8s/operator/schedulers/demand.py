"""Asks schedulers how much work they have, and for whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from dask_gpu_k8s.operator.engine.demand import Demand, GroupLoad, Work
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.schedulers.link import SchedulerLink

HANDLER = "dask_operator_demand"
"""What `demand_preload` adds to a scheduler."""

FRESH = 4.0
"""Seconds for which an answer is good enough: several autoscalers of a cluster ask once."""


class DemandMeter:
    """Asks the schedulers of all clusters for their demand.

    Parameters
    ----------
    link : SchedulerLink
    clock : callable, optional
        Monotonic time in seconds.
    """

    def __init__(self, link: SchedulerLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._answers: dict[str, tuple[float, Demand]] = {}
        self._mute: set[str] = set()

    async def ask(self, scheduler: SchedulerAt) -> Demand:
        """Ask for the demand, or return an answer that is still fresh.

        Raises
        ------
        SchedulerUnreachable
        """
        since, known = self._answers.get(scheduler.uid, (float("-inf"), None))
        if known is not None and self._clock() - since < FRESH:
            return known
        demand = await self._ask(scheduler)
        self._answers[scheduler.uid] = self._clock(), demand
        return demand

    def forget(self, scheduler_uid: str) -> None:
        """Forget a scheduler that is gone."""
        self._answers.pop(scheduler_uid, None)
        self._mute.discard(scheduler_uid)

    async def _ask(self, scheduler: SchedulerAt) -> Demand:
        async with self._link.reach(scheduler) as connection:
            # Each question that a scheduler does not know leaves a warning in its log, so it is asked once.
            if scheduler.uid not in self._mute:
                answer = await self._link.in_time(connection.call(HANDLER))
                if answer is not None:
                    return _read(answer)
                self._mute.add(scheduler.uid)
            target = await self._link.in_time(connection.call("adaptive_target"))
        if not isinstance(target, int):
            raise SchedulerUnreachable(f"its adaptive target is {target!r}")
        return Demand(target=max(0, target))


def _read(answer: Any) -> Demand:
    try:
        return Demand(
            target_duration=float(answer["target_duration"]),
            work=tuple(map(_work, answer["work"])),
            groups={str(name): _load(facts) for name, facts in answer["groups"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SchedulerUnreachable(f"it answered what is not understood ({error!r})") from error


def _work(facts: Mapping[str, Any]) -> Work:
    needs = {str(name): float(amount) for name, amount in facts["needs"].items()}
    return Work(needs, float(facts["tasks"]), float(facts["seconds"]))


def _load(facts: Mapping[str, Any]) -> GroupLoad:
    return GroupLoad(
        **{
            field: max(0, int(facts[field]))
            for field in ("pods", "workers", "threads", "busy", "nbytes", "limit")
        }
    )
