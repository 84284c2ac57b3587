"""DaskCluster: what to do about its scheduler's Pod."""

from __future__ import annotations

from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import parse_time
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.memory import forget, has_failed, remembered
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.engine.actions import Action, Create, delete_of
from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod
from dask_gpu_k8s.operator.objects.templates import mark_of
from dask_gpu_k8s.operator.pods import is_finished, is_ready, is_terminating, time_held

OVERDUE = timedelta(seconds=10)
"""How long after its grace a Pod may still be there before it is deleted by force: a kubelet that is alive
ends a Pod when its grace is over, so this one's is not."""


def is_outdated(seen: Observed) -> bool:
    """Say whether the scheduler's Pod was made from another template than the cluster has now."""
    pod = seen.scheduler
    if pod is None or not seen.is_own(pod) or mark_of(pod) is None:
        return False
    return mark_of(pod) != mark_of(make_scheduler_pod(seen.cluster))


def is_going(seen: Observed) -> bool:
    """Say whether we take the scheduler's Pod away ourselves: to suspend the cluster, or for another one.

    Under Rolling, a running scheduler stays whatever becomes of its template, because results would be lost
    with it; one that never was ready has none.
    """
    if seen.is_suspended:
        return True
    if not is_outdated(seen) or has_failed(seen):
        return False
    strategy = (seen.cluster["spec"].get("updateStrategy") or {}).get("type") or "Rolling"
    return strategy == "Recreate" or (strategy == "Rolling" and not _was_ready(seen))


def plan_removal(seen: Observed, now: datetime) -> tuple[list[list[Action]], float | None]:
    """Take away a scheduler Pod that has ended, is to go or has its name but no life any more.

    Returns
    -------
    tuple of (list of list of Action, float or None)
        Stages, and after how many seconds to look again.
    """
    pod = seen.scheduler
    if pod is None or not (seen.is_own(pod) or seen.is_leftover(pod)):
        return [], None
    if is_terminating(pod):
        return plan_force(pod, now, is_silent=seen.is_scheduler_silent)
    if not seen.is_own(pod):
        return [], None
    if is_going(seen):
        return [[*forget(seen.cluster)], [delete_of(POD, pod)]], None
    if not is_finished(pod):
        return [], None
    held = time_held(pod, now)
    return ([], held) if held > 0 else ([[delete_of(POD, pod)]], None)


def plan_new_scheduler(seen: Observed) -> list[Action]:
    """Make the scheduler's Pod if there is none."""
    if seen.scheduler is not None or seen.is_suspended:
        return []
    return [Create(POD, make_scheduler_pod(seen.cluster))]


def blocking_finalizers(pod: Manifest) -> list[str]:
    """Name the finalizers for which alone a Pod that nothing runs in any more still has its name."""
    meta = pod["metadata"]
    is_over = is_finished(pod) or meta.get("deletionGracePeriodSeconds") == 0
    return list(meta.get("finalizers") or ()) if is_terminating(pod) and is_over else []


def plan_force(
    pod: Manifest, now: datetime, *, is_silent: bool = False
) -> tuple[list[list[Action]], float | None]:
    """Delete by force what its node does not end: it is lost, and nothing else frees the name.

    Parameters
    ----------
    pod : Manifest
        A Pod that is being deleted.
    now : datetime
    is_silent : bool, optional
        Whether nothing is heard of its node: then its grace need not be waited for.
    """
    if pod["metadata"].get("deletionGracePeriodSeconds") == 0:
        return [], None
    if is_silent:
        return [[delete_of(POD, pod, grace_seconds=0)]], None
    if is_ready(pod):
        return [], None
    due = parse_time(pod["metadata"]["deletionTimestamp"]) + OVERDUE
    if now < due:
        return [], (due - now).total_seconds()
    return [[delete_of(POD, pod, grace_seconds=0)]], None


def _was_ready(seen: Observed) -> bool:
    pod, known = seen.scheduler, remembered(seen.cluster)
    assert pod is not None
    return is_ready(pod) or (known.was_ready and known.uid == pod["metadata"]["uid"])
