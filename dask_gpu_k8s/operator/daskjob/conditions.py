"""DaskJob: what holds of it, in words; by the names that Kubernetes' own Job has for the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dask_gpu_k8s.api.conditions import Said, told, with_conditions
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskjob.observe import ENDED, SUCCESSFUL, SUSPENDED, Observed
from dask_gpu_k8s.operator.daskjob.progress import Progress
from dask_gpu_k8s.operator.engine.actions import Outcome
from dask_gpu_k8s.operator.engine.refusals import reason_of


def conditions(seen: Observed, step: Progress, refused: list[Outcome], now: datetime) -> list[Manifest]:
    """Return all conditions of a job: those known, and what is to be said now in their place."""
    said = dict([*_accepted(seen, refused), *_suspended(seen, step), *_ended(seen, step)])
    return with_conditions(seen.job, said, now)


def _accepted(seen: Observed, refused: list[Outcome]) -> Iterator[tuple[str, Said]]:
    if refused:
        yield "Accepted", ("False", reason_of(refused[0]), refused[0].message)
    elif not (seen.cooling or seen.state in ENDED):
        yield "Accepted", ("True", "Accepted", "The operator takes care of this job.")


def _suspended(seen: Observed, step: Progress) -> Iterator[tuple[str, Said]]:
    if step.state == SUSPENDED:
        yield "Suspended", ("True", step.reason, step.message)
    elif told(seen.job, "Suspended").get("status") == "True":
        yield "Suspended", ("False", "Resumed", "The job is not suspended.")


def _ended(seen: Observed, step: Progress) -> Iterator[tuple[str, Said]]:
    if step.state not in ENDED or seen.state in ENDED:
        return
    if step.state == SUCCESSFUL:
        yield "Complete", ("True", step.reason, step.message)
    else:
        yield "Complete", ("False", step.reason, step.message)
        yield "Failed", ("True", step.reason, step.message)
