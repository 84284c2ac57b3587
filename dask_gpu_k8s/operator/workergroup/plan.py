"""DaskWorkerGroup: as many worker Pods as asked for, made at once and retired before they go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import format_time, parse_time
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import (
    Action,
    Create,
    Delete,
    LeavingPod,
    Patch,
    Plan,
    Retire,
    soonest,
)
from dask_gpu_k8s.operator.engine.facts import SchedulerAt
from dask_gpu_k8s.operator.engine.refusals import is_refused_for_good
from dask_gpu_k8s.operator.objects.metadata import make_owner_reference
from dask_gpu_k8s.operator.objects.workers import make_worker_pod, replicas_of
from dask_gpu_k8s.operator.pods import is_marked, is_terminating, time_held
from dask_gpu_k8s.operator.workergroup.observe import Observed
from dask_gpu_k8s.operator.workergroup.victims import Candidate, choose

BATCH = 500
"""Most Pods made in one run, so that a big group does not keep small ones waiting."""

DRAIN_LIMIT = timedelta(seconds=60)
"""How long a group scaled to 0 waits for data that only workers unable to take it could take."""

NO_GRACE = 1
"""Seconds to end for a Pod without work. A process that is still importing does not hear SIGTERM: it would
register with the scheduler while its Pod is ending, get work, and lose it when its grace is over."""

RETRY_UNSETTLED = 5.0
RETRY_UNREACHABLE = 3.0
RETRY_KEPT = 5.0
RETRY_MOVING = 1.0


@dataclass
class _Draft:
    """A plan while it is written."""

    first: list[Action] = field(default_factory=list)
    then: list[Action] = field(default_factory=list)
    wake_after: float | None = None

    def wake(self, seconds: float) -> None:
        self.wake_after = soonest(self.wake_after, seconds)


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a group now."""
    cluster = seen.cluster
    if cluster is None or is_terminating(seen.group):
        return Plan()
    if not seen.settled:
        return Plan(wake_after=RETRY_UNSETTLED)
    if not _is_adopted(seen.group, cluster):
        return Plan(((_adopt(seen.group, cluster),),))
    draft = _Draft()
    held = _plan_finished(seen, now, draft)
    missing = replicas_of(seen.group) - len(seen.counted) - held
    if missing > 0:
        _plan_creation(seen, cluster, missing, draft)
    elif len(seen.counted) > replicas_of(seen.group):
        _plan_marking(seen, len(seen.counted) - replicas_of(seen.group), now, draft)
    _plan_leaving(seen, now, draft)
    stages = (tuple(draft.first), tuple(draft.then))
    return Plan(tuple(stage for stage in stages if stage), draft.wake_after)


def marked_since(pod: Manifest) -> datetime | None:
    """Return when a Pod was marked to go, or ``None`` if the mark does not say."""
    text = (pod["metadata"].get("annotations") or {}).get(labels.RETIRE, "")
    try:
        return parse_time(text.rpartition(" ")[2])
    except ValueError:
        return None


def _is_adopted(group: Manifest, cluster: Manifest) -> bool:
    owners = group["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == cluster["metadata"]["uid"] for owner in owners)


def _adopt(group: Manifest, cluster: Manifest) -> Patch:
    """Let a group made by a user go with its cluster like the cluster's own."""
    owners = group["metadata"].get("ownerReferences") or []
    reference = make_owner_reference(cluster, DASKCLUSTER)
    # Only one owner may be the controlling one.
    reference["controller"] = not any(owner.get("controller") for owner in owners)
    metadata = {
        "resourceVersion": group["metadata"]["resourceVersion"],
        "ownerReferences": [*owners, reference],
    }
    return _patch_group(group, {"metadata": metadata})


def _plan_finished(seen: Observed, now: datetime, draft: _Draft) -> int:
    """Delete Pods that have ended; return how many are left for a while and hold their place."""
    held = 0
    for candidate in seen.finished:
        wait = time_held(candidate.pod, now)
        if wait > 0 and not is_marked(candidate.pod):
            held += 1
            draft.wake(wait)
        else:
            draft.then.append(_delete(candidate.pod))
    return held


def _plan_creation(seen: Observed, cluster: Manifest, missing: int, draft: _Draft) -> None:
    """Give out names first: should we die between the two, no name is ever used for two Pods."""
    if is_refused_for_good(seen.group):
        return
    if seen.cooling:
        draft.wake(seen.cooling)
        return
    count = min(missing, BATCH)
    counter = int((seen.group.get("status") or {}).get("counter") or 0)
    reserve = {
        "metadata": {"resourceVersion": seen.group["metadata"]["resourceVersion"]},
        "status": {"counter": counter + count},
    }
    draft.first.append(_patch_group(seen.group, reserve, sub="status"))
    draft.then += [
        Create(POD, make_worker_pod(cluster, seen.group, index)) for index in range(counter, counter + count)
    ]
    if missing > BATCH:
        draft.wake(0.0)


def _plan_marking(seen: Observed, excess: int, now: datetime, draft: _Draft) -> None:
    victims = choose(seen.counted, excess)
    for victim in victims:
        if victim.is_spare:
            draft.then.append(_delete(victim.pod, unchanged=True, grace_seconds=NO_GRACE))
        elif seen.workers is None:
            # Who is idle and who holds data is not known: nobody who works is chosen.
            draft.wake(RETRY_UNREACHABLE)
        else:
            draft.then.append(_mark(victim.pod, now))


def _plan_leaving(seen: Observed, now: datetime, draft: _Draft) -> None:
    working = []
    for candidate in seen.leaving:
        if candidate.is_spare:
            draft.then.append(_delete(candidate.pod, unchanged=True, grace_seconds=NO_GRACE))
        elif seen.workers is None:
            draft.wake(RETRY_UNREACHABLE)
        elif not candidate.workers:
            draft.then.append(_delete(candidate.pod, grace_seconds=NO_GRACE))
        else:
            working.append(candidate)
    if working and seen.scheduler is not None:
        draft.then.append(_retire(seen, seen.scheduler, working, now))


def _retire(seen: Observed, scheduler: SchedulerAt, working: list[Candidate], now: datetime) -> Retire:
    pods = tuple(
        LeavingPod(each.name, each.pod["metadata"]["uid"], tuple(sorted(each.workers))) for each in working
    )
    forced: frozenset[str] = frozenset()
    if seen.must_empty:
        # Scaling to 0 is an explicit wish: it must not wait for ever for somebody to take the data.
        nobody_left = not _has_recipients(seen)
        forced = frozenset(each.name for each in working if nobody_left or _overdue(each.pod, now))
    ending = [each for each in (*seen.candidates, *seen.elsewhere) if is_terminating(each.pod)]
    leaving = [each for each in seen.elsewhere if not is_terminating(each.pod)]
    return Retire(scheduler, pods, forced, _addresses(leaving), _addresses(ending))


def _has_recipients(seen: Observed) -> bool:
    out = _addresses([*seen.leaving, *seen.elsewhere])
    workers = seen.workers or {}
    return any(worker.running and address not in out for address, worker in workers.items())


def _addresses(candidates: Iterable[Candidate]) -> frozenset[str]:
    return frozenset(address for candidate in candidates for address in candidate.workers)


def _overdue(pod: Manifest, now: datetime) -> bool:
    since = marked_since(pod)
    return since is not None and now - since > DRAIN_LIMIT


def _mark(pod: Manifest, now: datetime) -> Patch:
    meta = pod["metadata"]
    patch = {
        "metadata": {
            "resourceVersion": meta["resourceVersion"],
            "annotations": {labels.RETIRE: f"scale-down {format_time(now)}"},
        }
    }
    return Patch(POD, meta["namespace"], meta["name"], patch)


def _delete(pod: Manifest, *, unchanged: bool = False, grace_seconds: int | None = None) -> Delete:
    meta = pod["metadata"]
    version = meta["resourceVersion"] if unchanged else None
    return Delete(POD, meta["namespace"], meta["name"], meta["uid"], version, grace_seconds)


def _patch_group(group: Manifest, patch: Manifest, sub: str | None = None) -> Patch:
    meta = group["metadata"]
    return Patch(DASKWORKERGROUP, meta["namespace"], meta["name"], patch, sub)
