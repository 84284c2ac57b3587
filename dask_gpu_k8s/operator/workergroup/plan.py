"""DaskWorkerGroup: as many worker Pods as asked for, made at once and retired before they go."""

from __future__ import annotations

from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import parse_time, told
from dask_gpu_k8s.api.explain import CREATE_REFUSED, QUOTA_EXCEEDED
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import Create, Patch, Plan, delete_of, patch_of
from dask_gpu_k8s.operator.engine.refusals import INVALID, is_invalid
from dask_gpu_k8s.operator.objects.metadata import owned_too
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from dask_gpu_k8s.operator.pods import is_leftover, is_marked, is_terminating
from dask_gpu_k8s.operator.workergroup.draft import Draft
from dask_gpu_k8s.operator.workergroup.failures import failures_in_a_row, time_kept
from dask_gpu_k8s.operator.workergroup.leaving import (
    NO_GRACE,
    ROLLOUT,
    SCALE_DOWN,
    SUSPEND,
    see_off,
    send_off,
    short_grace,
)
from dask_gpu_k8s.operator.workergroup.mending import mend
from dask_gpu_k8s.operator.workergroup.observe import Observed
from dask_gpu_k8s.operator.workergroup.rollout import due, is_outdated, strategy_of
from dask_gpu_k8s.operator.workergroup.victims import choose

BATCH = 500
"""Most Pods made in one run, so that a big group does not keep small ones waiting."""

CACHE_LAG = timedelta(seconds=10)
"""How far a group's view of its cluster may lie behind: see `_make_way`."""

RETRY_UNSETTLED = 5.0
RETRY_KEPT = 5.0
RETRY_MOVING = 1.0


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a group now."""
    cluster = seen.cluster
    if cluster is None or is_terminating(seen.group):
        return Plan()
    if not seen.settled:
        return Plan(wake_after=RETRY_UNSETTLED)
    if is_leftover(seen.group, DASKCLUSTER.kind, cluster):
        # To adopt it would keep it from the collector, in the way of the cluster's own.
        return Plan()
    if not _is_adopted(seen.group, cluster):
        return Plan(((_adopt(seen.group, cluster),),))
    draft = Draft()
    if seen.is_suspended:
        draft.then += [delete_of(POD, each.pod, grace_seconds=short_grace(each.pod)) for each in seen.present]
        return draft.finish()
    draft.then += mend(seen.group, (each.pod for each in seen.present))
    draft.wake(seen.losing)
    kept, failures = _plan_finished(seen, now, draft)
    _make_way(seen, cluster, draft)
    if seen.is_frozen:
        draft.wake(seen.frozen_for)
    else:
        missing = seen.desired - len(seen.counted) - kept
        if missing > 0 and not seen.awaits_scheduler:
            _plan_creation(seen, cluster, missing, failures, draft)
        _plan_departures(seen, cluster, now, draft)
    see_off(seen, now, draft)
    return draft.finish()


def _is_adopted(group: Manifest, cluster: Manifest) -> bool:
    owners = group["metadata"].get("ownerReferences") or ()
    is_named = any(owner.get("uid") == cluster["metadata"]["uid"] for owner in owners)
    return is_named and any(owner.get("controller") for owner in owners)


def _adopt(group: Manifest, cluster: Manifest) -> Patch:
    """Let a group made by a user go with its cluster like the cluster's own."""
    owners = owned_too(group, cluster, DASKCLUSTER)
    return patch_of(DASKWORKERGROUP, group, {"metadata": {"ownerReferences": owners}}, unchanged=True)


def _plan_finished(seen: Observed, now: datetime, draft: Draft) -> tuple[int, list[int]]:
    """Delete Pods that have ended.

    Returns how many are left for a while and keep their place, and of the others that fall to be replaced,
    how many failures in a row their successors have behind them.
    """
    kept, failures = 0, []
    room = seen.desired - len(seen.counted)
    for candidate in seen.finished:
        wait = time_kept(candidate.pod, now)
        is_history = is_marked(candidate.pod) or is_outdated(candidate.pod, seen.mark)
        if wait > 0 and not is_history and kept < room:
            kept += 1
            draft.wake(wait)
            continue
        draft.then.append(delete_of(POD, candidate.pod))
        if not is_history:
            failures.append(failures_in_a_row(candidate.pod))
    return kept, failures


def _plan_creation(
    seen: Observed, cluster: Manifest, missing: int, failures: list[int], draft: Draft
) -> None:
    """Give out names first: should we die between the two, no name is ever used for two Pods."""
    group = seen.group
    if seen.cooling:
        draft.wake(seen.cooling)
        return
    counter = int((group.get("status") or {}).get("counter") or 0)
    is_trial = _was_refused(group)
    count = 1 if is_trial else min(missing, BATCH)
    reserve = {"status": {"counter": counter + count}}
    draft.first.append(patch_of(DASKWORKERGROUP, group, reserve, "status", unchanged=True))
    undo = _give_back(group, counter) if is_trial else None
    draft.then += [
        Create(POD, make_worker_pod(cluster, group, counter + number, failures=failed), undo)
        for number, failed in zip(range(count), [*failures, *[0] * count], strict=False)
    ]
    if missing > BATCH:
        draft.wake(0.0)


def _was_refused(group: Manifest) -> bool:
    """Say whether the API server took no Pods when it was last asked, e.g. because of a quota."""
    ready = told(group, "Ready")
    return ready.get("status") == "False" and ready.get("reason") in (QUOTA_EXCEEDED, CREATE_REFUSED, INVALID)


def _give_back(group: Manifest, counter: int) -> Patch:
    """Take back the one name that was given out for a Pod which was refused, if none was since."""
    path = "/status/counter"
    test: Manifest = {"op": "test", "path": path, "value": counter + 1}
    meta, back = group["metadata"], {"op": "replace", "path": path, "value": counter}
    return Patch(DASKWORKERGROUP, meta["namespace"], meta["name"], [test, back], "status")


def _make_way(seen: Observed, cluster: Manifest, draft: Draft) -> None:
    """Give back what was taken of a full quota when the scheduler had just gone, by a view from the past.

    Nothing more is lost: results went with the scheduler.
    """
    since = told(cluster, "SchedulerReady").get("lastTransitionTime")
    is_refused = told(cluster, "Accepted").get("reason") == QUOTA_EXCEEDED
    if not (seen.awaits_scheduler and is_refused and since):
        return
    draft.then += [
        delete_of(POD, each.pod, grace_seconds=NO_GRACE)
        for each in seen.counted
        if parse_time(each.pod["metadata"]["creationTimestamp"]) >= parse_time(since) - CACHE_LAG
    ]


def _plan_departures(seen: Observed, cluster: Manifest, now: datetime, draft: Draft) -> None:
    surplus = max(0, len(seen.counted) - seen.desired)
    victims = choose(seen.counted, surplus, seen.outdated)
    send_off(seen, victims, SUSPEND if seen.is_paused else SCALE_DOWN, now, draft)
    if seen.cooling or is_invalid(seen.group):
        # Whoever went now would not be replaced.
        draft.wake(seen.cooling or None)
        return
    gone = {victim.name for victim in victims}
    rest = [each for each in seen.counted if each.name not in gone]
    strategy = strategy_of(seen.group, cluster)
    send_off(seen, due(rest, seen.mark, seen.desired, strategy), ROLLOUT, now, draft)
