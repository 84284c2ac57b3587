"""Who does the work: how many workers each group of a cluster should have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dask_gpu_k8s.operator.daskautoscaler.offer import Offer
from dask_gpu_k8s.operator.engine.demand import Demand, GroupLoad, Work

FULL = 0.6
"""Share of a group's memory in use from which on it should double. As all numbers here, Dask's own."""

SPACE = 2
"""How many times the data that a group holds has to fit into what is left of it."""


@dataclass(frozen=True)
class Member:
    """A worker group of a cluster.

    Attributes
    ----------
    name : str
    offer : Offer
    minimum, maximum : int
        Of a group that nobody scales, both are the number of its workers.
    priority : int
        The lowest grows first and shrinks last.
    """

    name: str
    offer: Offer
    minimum: int
    maximum: int
    priority: int = 0

    @property
    def scales(self) -> bool:
        """Whether its size is a question at all."""
        return self.minimum < self.maximum


def wishes(demand: Demand, members: Sequence[Member]) -> dict[str, int]:
    """Say how many workers each group should have now, whatever its maximum.

    Work goes to the workers that are there in any case, then to the groups in their order. What nobody has
    room for is wished of the last of them. No group shrinks below the workers that are busy, nor so far
    that its data would not fit.

    Parameters
    ----------
    demand : Demand
        Of a scheduler that says who has work for whom.
    members : sequence of Member
        All groups of the cluster.
    """
    loads = {member.name: load_of(demand, member, members) for member in members}
    used = dict.fromkeys(loads, 0.0)
    for work in sorted(demand.work, key=lambda work: -len(work.needs)):
        slots = {each.name: _slots(each, work, loads[each.name]) for each in _able(work, members)}
        order = [each for each in sorted(members, key=_order) if each.name in slots]
        left = float(parallel(work, demand))
        for bound in ("minimum", "maximum"):
            for member in order:
                room = max(0.0, getattr(member, bound) - used[member.name]) * slots[member.name]
                used[member.name] += min(left, room) / slots[member.name]
                left -= min(left, room)
        growing = [each.name for each in order if each.scales]
        if left > 0 and growing:
            used[growing[-1]] += left / slots[growing[-1]]
    return {name: max(math.ceil(used[name] - 1e-6), _kept(load)) for name, load in loads.items()}


def unserved(demand: Demand, members: Sequence[Member]) -> list[str]:
    """Name what tasks need and no group offers, e.g. ``"gpu=1"``."""
    found = {_text(work.needs) for work in demand.work if not _able(work, members)}
    return sorted(found - {""})


def parallel(work: Work, demand: Demand) -> int:
    """Say how many tasks should run at once, so that all of them are done in the time that Dask aims at."""
    wanted = math.ceil(work.seconds / demand.target_duration) if demand.target_duration else work.tasks
    return max(1, min(math.ceil(work.tasks), math.ceil(wanted)))


def load_of(demand: Demand, member: Member, members: Sequence[Member]) -> GroupLoad:
    """Return the load of a group; of a cluster's only group, all there is, whatever the workers' names."""
    names = (member.name, "") if len(members) == 1 else (member.name,)
    loads = [demand.groups[name] for name in names if name in demand.groups]
    fields = ("pods", "workers", "threads", "busy", "nbytes", "limit")
    return GroupLoad(**{field: sum(getattr(load, field) for load in loads) for field in fields})


def _able(work: Work, members: Sequence[Member]) -> list[Member]:
    """Return who can do it. What any worker can do is not for those with resources, if there are others."""
    there = [member for member in members if member.maximum > 0]
    if work.needs:
        return [member for member in there if _covers(member.offer.resources, work.needs)]
    return [member for member in there if not member.offer.resources] or there


def _text(needs: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(needs.items()))


def _covers(offered: Mapping[str, float], needed: Mapping[str, float]) -> bool:
    return all(offered.get(name, 0.0) >= amount for name, amount in needed.items())


def _slots(member: Member, work: Work, load: GroupLoad) -> float:
    """Say how many such tasks one Pod of a group can do at once."""
    offer = member.offer
    threads = load.threads / load.workers if load.workers else offer.threads
    processes = load.workers / load.pods if load.pods else offer.processes
    limits = [offer.resources[name] // amount for name, amount in work.needs.items() if amount > 0]
    return max(1e-3, min([threads, *limits]) * processes)


def _kept(load: GroupLoad) -> int:
    """Say how many workers a group needs for what it holds and does already."""
    if not load.pods:
        return 0
    if load.limit and load.nbytes > FULL * load.limit:
        return 2 * load.pods
    holders = math.ceil(SPACE * load.nbytes * load.pods / load.limit) if load.limit else load.pods
    return max(load.busy, min(load.pods, holders if load.nbytes else 0))


def _order(member: Member) -> tuple[int, str]:
    return member.priority, member.name
