"""How workers leave: marked, then retired by their scheduler so that their data moves, then deleted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import format_time, parse_time
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import LeavingPod, Patch, Retire, delete_of, patch_of
from dask_gpu_k8s.operator.engine.facts import SchedulerAt
from dask_gpu_k8s.operator.objects.workers import GRACE_SECONDS
from dask_gpu_k8s.operator.pods import is_terminating
from dask_gpu_k8s.operator.workergroup.draft import Draft
from dask_gpu_k8s.operator.workergroup.observe import Observed
from dask_gpu_k8s.operator.workergroup.victims import Candidate

SCALE_DOWN, ROLLOUT, SUSPEND = "scale-down", "rollout", "suspend"
"""Why a worker goes, as its mark says."""

DRAIN_TIMEOUT = 60
"""Seconds for data to move where neither the group nor its cluster says."""

NO_GRACE = 1
"""Seconds to end for a Pod without work. A process that is still importing does not hear SIGTERM: it would
register with the scheduler while its Pod is ending, get work, and lose it when its grace is over."""

RETRY_UNREACHABLE = 3.0


def send_off(seen: Observed, victims: Iterable[Candidate], why: str, now: datetime, draft: Draft) -> None:
    """Let workers go: those with work are marked first, which nothing undoes."""
    for victim in victims:
        if victim.is_spare:
            draft.then.append(delete_of(POD, victim.pod, unchanged=True, grace_seconds=NO_GRACE))
        elif seen.workers is None:
            # Who is idle and who holds data is not known: nobody who works is chosen.
            draft.wake(RETRY_UNREACHABLE)
        else:
            draft.then.append(_mark(victim.pod, why, now))


def see_off(seen: Observed, now: datetime, draft: Draft) -> None:
    """Retire and delete workers that are marked."""
    working = []
    for candidate in seen.leaving:
        if candidate.is_spare:
            draft.then.append(delete_of(POD, candidate.pod, unchanged=True, grace_seconds=NO_GRACE))
        elif seen.workers is None:
            draft.wake(RETRY_UNREACHABLE)
        elif not candidate.workers and not seen.strangers:
            draft.then.append(delete_of(POD, candidate.pod, grace_seconds=NO_GRACE))
        elif not candidate.workers:
            _see_off_unknown(seen, candidate, now, draft)
        else:
            working.append(candidate)
    if working and seen.scheduler is not None:
        draft.then.append(_retire(seen, seen.scheduler, working, now))


def _see_off_unknown(seen: Observed, candidate: Candidate, now: datetime, draft: Draft) -> None:
    """Delete a Pod of which nothing is known only if it has to go whatever becomes of results."""
    if candidate.name in _forced(seen, [candidate], _overdue(seen, [candidate], now)):
        draft.then.append(delete_of(POD, candidate.pod))
    else:
        draft.wake(RETRY_UNREACHABLE)


def marked_since(pod: Manifest) -> datetime | None:
    """Return when a Pod was marked to go, or ``None`` if the mark does not say."""
    try:
        return parse_time(_mark_of(pod).rpartition(" ")[2])
    except ValueError:
        return None


def _mark_of(pod: Manifest) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(labels.RETIRE, ""))


def _mark(pod: Manifest, why: str, now: datetime) -> Patch:
    annotations = {labels.RETIRE: f"{why} {format_time(now)}"}
    return patch_of(POD, pod, {"metadata": {"annotations": annotations}}, unchanged=True)


def _retire(seen: Observed, scheduler: SchedulerAt, working: list[Candidate], now: datetime) -> Retire:
    pods = tuple(
        LeavingPod(each.name, each.pod["metadata"]["uid"], tuple(sorted(each.workers)), short_grace(each.pod))
        for each in working
    )
    overdue = _overdue(seen, working, now)
    ending = [each for each in (*seen.candidates, *seen.elsewhere) if is_terminating(each.pod)]
    leaving = [each for each in seen.elsewhere if not is_terminating(each.pod)]
    # What is on a lost node may take minutes to be given up by the scheduler: it is not waited for.
    stuck = [each for each in seen.candidates if each.name in seen.lost]
    return Retire(
        scheduler,
        pods,
        forced=_forced(seen, working, overdue),
        hurried=overdue,
        leaving=_addresses([*leaving, *stuck]),
        ending=_addresses(each for each in ending if each.name not in seen.lost),
        limit=drain_timeout(seen),
    )


def _forced(seen: Observed, working: list[Candidate], overdue: frozenset[str]) -> frozenset[str]:
    """Choose those that go even if nobody can take their data: who asked for it must not wait for ever."""
    if seen.must_empty and not _has_recipients(seen):
        return frozenset(each.name for each in working)
    return frozenset(
        each.name
        for each in working
        if each.name in overdue and (seen.must_empty or not _mark_of(each.pod).startswith(SCALE_DOWN))
    )


def _has_recipients(seen: Observed) -> bool:
    out = _addresses([*seen.leaving, *seen.elsewhere])
    workers = seen.workers or {}
    return any(worker.running and address not in out for address, worker in workers.items())


def _addresses(candidates: Iterable[Candidate]) -> frozenset[str]:
    return frozenset(address for candidate in candidates for address in candidate.workers)


def _overdue(seen: Observed, candidates: Iterable[Candidate], now: datetime) -> frozenset[str]:
    begin = now - timedelta(seconds=drain_timeout(seen))
    marks = {each.name: marked_since(each.pod) for each in candidates}
    return frozenset(name for name, since in marks.items() if since is not None and since < begin)


def short_grace(pod: Manifest) -> int | None:
    """Return how long a Pod gets to end that need not drain itself any more, unless its user has said."""
    asked = pod["spec"].get("terminationGracePeriodSeconds")
    return NO_GRACE if asked in (None, GRACE_SECONDS) else None


def drain_timeout(seen: Observed) -> int:
    """Return the seconds that data gets to move off a worker of this group."""
    for resource in (seen.group, seen.cluster):
        asked = resource["spec"].get("drainTimeout") if resource else None
        if asked is not None:
            return int(asked)
    return DRAIN_TIMEOUT
