"""DaskJobs of dask-kubernetes' operator: left alone and told so, or taken over, which is no more than a word.

Their clusters are dealt with on their own; a job that has ended is nobody's any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dask_gpu_k8s.api.resources import DASKJOB
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskjob.observe import ENDED
from dask_gpu_k8s.operator.engine.actions import Conclusion, Outcome, Plan
from dask_gpu_k8s.operator.engine.facts import Key, World
from dask_gpu_k8s.operator.upstream.marks import is_foreign, is_marked, is_to_be_adopted
from dask_gpu_k8s.operator.upstream.words import refusal, say, strip


@dataclass(frozen=True)
class Observed:
    """A marked job, and whether somebody wants us to take it over."""

    job: Manifest
    is_wanted: bool


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a marked job."""
    job = world.cache.get(DASKJOB, key.namespace, key.name)
    if job is None or not is_marked(job) or (job.get("status") or {}).get("jobStatus") in ENDED:
        return None
    return Observed(job, world.adopts or is_to_be_adopted(job))


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a marked job now."""
    if seen.is_wanted:
        return Plan((tuple(strip(DASKJOB, [seen.job])),))
    if not is_foreign(seen.job):
        return Plan()
    said = say(DASKJOB, seen.job, "Accepted", "False", refusal(DASKJOB, seen.job), now)
    return Plan(((said,),) if said else ())


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Say nothing more."""
    return None
