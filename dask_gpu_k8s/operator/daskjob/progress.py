"""DaskJob: how far it is, from what there is. One table of rules; the first that applies holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import parse_time
from dask_gpu_k8s.operator.daskjob.observe import (
    CLUSTER_CREATED,
    CREATED,
    ENDED,
    FAILED,
    RUNNING,
    SUCCESSFUL,
    SUSPENDED,
    Observed,
)
from dask_gpu_k8s.operator.daskjob.runner import (
    LOST,
    End,
    end_of,
    failures_in_place,
    has_begun,
    scheduler_lost,
)


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    state : str
        Its ``jobStatus``.
    attempt : int
        Number of its present attempt: runners that failed and suspensions so far.
    failed : int
        Runners that have failed so far.
    reason, message : str
        Why it is in this state, in a word and in a sentence; empty if what there is does not say.
    """

    state: str
    attempt: int
    failed: int
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Deadline:
    """When a job that is not further by then has failed, and what is then said of it."""

    at: datetime
    reason: str
    message: str


def progress(seen: Observed, now: datetime) -> Progress:
    """Say how far a job is. What has ended stays so, and suspension and the runner's end come first."""
    known = Progress(seen.state, seen.attempt, int(seen.status.get("failed") or 0))
    if known.state in ENDED:
        reason, message = seen.said
        return replace(known, reason=reason, message=message)
    return (
        _by_runner(seen, known)
        or _by_suspension(seen, known)
        or _by_deadline(seen, known, now)
        or _under_way(seen, known)
    )


def is_turn(seen: Observed, step: Progress) -> bool:
    """Say whether this step has to be written down before anything is done about it."""
    return (step.state, step.attempt) != (seen.state, seen.attempt) and (
        step.state in (*ENDED, SUSPENDED, CREATED)
    )


def deadlines(seen: Observed) -> Iterator[Deadline]:
    """Return the deadlines that run for a job now."""
    spec, status = seen.job["spec"], seen.status
    active, started = spec.get("activeDeadlineSeconds"), status.get("startTime")
    if active is not None and started:
        text = f"The job was not done {active} s after its start (spec.activeDeadlineSeconds)."
        yield Deadline(parse_time(started) + timedelta(seconds=active), "DeadlineExceeded", text)
    waiting, since = spec.get("startDeadlineSeconds"), status.get("attemptTime")
    if waiting is not None and since and seen.state in (CREATED, CLUSTER_CREATED):
        text = f"The runner did not run within {waiting} s (spec.startDeadlineSeconds)."
        yield Deadline(parse_time(since) + timedelta(seconds=waiting), "StartDeadlineExceeded", text)


def limit_of(seen: Observed) -> int:
    """Return how many runners may fail before the job has failed, beside the last."""
    return int(seen.job["spec"].get("backoffLimit") or 0)


def _by_runner(seen: Observed, known: Progress) -> Progress | None:
    runner = seen.present(seen.runner)
    lost = scheduler_lost(seen.job, seen.present(seen.cluster)) or (LOST if known.state == RUNNING else None)
    if runner is None:
        return _after(seen, known, lost, 1) if lost else None
    in_place = failures_in_place(seen.job, runner)
    end = end_of(seen.job, runner)
    if end is not None and end.is_good:
        return replace(known, state=SUCCESSFUL, reason=end.reason, message=end.message)
    if end is not None:
        return _after(seen, known, end, 1 + in_place)
    if known.failed + in_place > limit_of(seen):
        failed = End(False, "RunnerFailed", f"The runner has failed {known.failed + in_place} times.")
        return _after(seen, known, failed, in_place)
    return None


def _after(seen: Observed, known: Progress, end: End, times: int) -> Progress:
    """Say what follows from a failure: another attempt, or the job's own."""
    failed, limit = known.failed + times, limit_of(seen)
    if failed <= limit:
        text = f"{end.message} It is tried again: {failed} of {limit} retries."
        return Progress(CREATED, known.attempt + 1, failed, end.reason, text)
    if not limit:
        return replace(known, state=FAILED, failed=failed, reason=end.reason, message=end.message)
    text = f"{end.message} It has been tried {failed} times (spec.backoffLimit is {limit})."
    return replace(known, state=FAILED, failed=failed, reason="BackoffLimitExceeded", message=text)


def _by_suspension(seen: Observed, known: Progress) -> Progress | None:
    if seen.job["spec"].get("suspend"):
        # What there was belongs to an attempt that is over.
        attempt = known.attempt + (known.state not in ("", SUSPENDED))
        text = "There are no Pods of this job while spec.suspend is true."
        return replace(known, state=SUSPENDED, attempt=attempt, reason="Suspended", message=text)
    if known.state == SUSPENDED:
        return replace(known, state=CREATED, reason="Resumed", message="The job begins afresh.")
    return None


def _by_deadline(seen: Observed, known: Progress, now: datetime) -> Progress | None:
    runner = seen.present(seen.runner)
    begun = runner is not None and has_begun(seen.job, runner)
    for deadline in deadlines(seen):
        if now >= deadline.at and not (begun and deadline.reason == "StartDeadlineExceeded"):
            return replace(known, state=FAILED, reason=deadline.reason, message=deadline.message)
    return None


def _under_way(seen: Observed, known: Progress) -> Progress:
    runner = seen.present(seen.runner)
    if not known.state:
        return replace(known, state=CREATED, reason="Created", message="The operator takes care of this job.")
    if known.state == RUNNING or (runner is not None and has_begun(seen.job, runner)):
        which = f" Attempt {known.failed + 1} of {limit_of(seen) + 1}." if limit_of(seen) else ""
        return replace(known, state=RUNNING, reason="Running", message=f"The runner runs.{which}")
    if runner is not None and seen.present(seen.cluster) is not None:
        return replace(known, state=CLUSTER_CREATED)
    return known
