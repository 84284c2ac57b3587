"""Which workers make way for Pods of the group's present template, and how many at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.templates import mark_of
from dask_gpu_k8s.operator.pods import is_ready
from dask_gpu_k8s.operator.workergroup.victims import Candidate, choose

DEFAULT_SHARE = "25%"


@dataclass(frozen=True)
class Strategy:
    """How a group takes an edit of its template.

    Attributes
    ----------
    type : str
        ``"Rolling"``, ``"Recreate"`` or ``"None"``.
    max_unavailable : int or str
        Of a rolling one: how many workers may be missing meanwhile, or which share of them.
    """

    type: str = "Rolling"
    max_unavailable: int | str = DEFAULT_SHARE

    def allowed(self, desired: int) -> int:
        """Return how many of so many workers may be missing; at least one, else nothing would change."""
        found = re.fullmatch(r"(\d+)(%?)", str(self.max_unavailable))
        number, percent = found.groups() if found else ("25", "%")
        return max(1, desired * int(number) // 100 if percent else int(number))


def strategy_of(group: Manifest, cluster: Manifest) -> Strategy:
    """Return the group's own strategy, else its cluster's, else the default."""
    asked = group["spec"].get("updateStrategy") or cluster["spec"].get("updateStrategy") or {}
    return Strategy(asked.get("type") or "Rolling", asked.get("maxUnavailable", DEFAULT_SHARE))


def is_outdated(pod: Manifest, mark: str) -> bool:
    """Say whether a Pod was made from another template; one that does not say counts as current."""
    return bool(mark) and mark_of(pod) not in (None, mark)


def due(candidates: Sequence[Candidate], mark: str, desired: int, strategy: Strategy) -> list[Candidate]:
    """Return the workers that make way now.

    A rolling update takes outdated workers that are not ready at once: nobody misses them, and if it is
    their template that keeps them from it, nothing else helps. Of the ready ones it takes only as many as
    leave enough others ready.

    Parameters
    ----------
    candidates : sequence of Candidate
        The workers that are to stay otherwise.
    mark : str
        Mark of the present template.
    desired : int
        How many workers there should be.
    strategy : Strategy
    """
    if strategy.type == "None":
        return []
    outdated = [each for each in candidates if is_outdated(each.pod, mark)]
    if strategy.type == "Recreate" or not outdated:
        return outdated
    ready = [each for each in outdated if is_ready(each.pod)]
    available = sum(is_ready(each.pod) for each in candidates)
    spare = available - max(0, desired - strategy.allowed(desired))
    waiting = [each for each in outdated if not is_ready(each.pod)]
    return waiting + choose(ready, max(0, spare))
