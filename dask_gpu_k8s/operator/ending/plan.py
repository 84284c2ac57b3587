"""The end of a DaskCluster: when it comes, and what is said of it before.

The condition ``Ending`` and an Event are written first, and the cluster is deleted in the next run, if
nothing has changed by then.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.conditions import told, with_conditions
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.ending import idle, ttl
from dask_gpu_k8s.operator.ending.observe import Observed
from dask_gpu_k8s.operator.engine.actions import (
    Conclusion,
    Note,
    Outcome,
    Patch,
    Plan,
    delete_of,
    patch_of,
    refusals,
    soonest,
)
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED

ENDING = "Ending"
"""Type of the condition."""

KEPT_INTERVAL = 60.0
"""Seconds between two looks at a cluster that a job keeps alive."""


class End(NamedTuple):
    """Why a cluster goes."""

    reason: str
    message: str


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide whether a cluster goes now, and when to look again."""
    if seen.job is not None:
        return Plan(wake_after=KEPT_INTERVAL)
    period = _period(seen, now)
    end = _end(seen, period, now)
    if end is not None and _is_said(seen.cluster, end):
        # Of this version alone: somebody may just have given it more time.
        return Plan(((delete_of(DASKCLUSTER, seen.cluster, unchanged=True),),))
    status = {**_period_change(seen, period), **_condition_change(seen, end, now)}
    wake = 0.0 if end is not None else _next_look(seen, period, now)
    return Plan(((_patch(seen.cluster, status),),) if status else (), wake)


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Tell of an end that has just been decided; the status is a matter of the plan."""
    end = _end(seen, _period(seen, now), now) if seen.job is None else None
    written = any(outcome.state == "done" for outcome in outcomes)
    notes = []
    if end is not None and written and not _is_said(seen.cluster, end):
        notes.append(Note("Normal", end.reason, end.message))
    return Conclusion({}, tuple(notes), RETRY_REFUSED if refusals(outcomes) else None)


def _period(seen: Observed, now: datetime) -> idle.Period | None:
    if not idle.timeout_of(seen.cluster):
        return None
    if seen.look is None:
        # Nothing is known: neither that there was work nor that there was none.
        return idle.known_period(seen.cluster)
    return idle.present_period(seen.cluster, seen.look, now)


def _end(seen: Observed, period: idle.Period | None, now: datetime) -> End | None:
    cluster = seen.cluster
    timeout, seconds = idle.timeout_of(cluster), ttl.ttl_of(cluster)
    if timeout and seen.look is not None and idle.is_over(cluster, period, now):
        text = f"There was no work for {timeout} s (spec.idleTimeout), so the cluster is deleted."
        return End("IdleTimeout", text)
    if seconds and now >= ttl.lives_until(cluster, seen.lease):
        lease = names.client_lease(cluster["metadata"]["name"])
        text = f"No client has renewed Lease {lease!r} for {seconds} s (spec.ttl), so the cluster is deleted."
        return End("NotRenewed", text)
    return None


def _next_look(seen: Observed, period: idle.Period | None, now: datetime) -> float | None:
    cluster = seen.cluster
    wait = None
    if timeout := idle.timeout_of(cluster):
        wait = idle.interval_of(timeout)
        if period is not None and seen.look is not None:
            wait = min(wait, timeout - (now - period.since).total_seconds())
    if ttl.ttl_of(cluster):
        wait = soonest(wait, (ttl.lives_until(cluster, seen.lease) - now).total_seconds())
    return wait


def _is_said(cluster: Manifest, end: End) -> bool:
    said = told(cluster, ENDING)
    return (said.get("status"), said.get("reason")) == ("True", end.reason)


def _period_change(seen: Observed, period: idle.Period | None) -> Manifest:
    if period == idle.known_period(seen.cluster):
        return {}
    return period.status() if period is not None else dict(idle.NOT_IDLE)


def _condition_change(seen: Observed, end: End | None, now: datetime) -> Manifest:
    if end is None and told(seen.cluster, ENDING).get("status") != "True":
        return {}
    said = ("True", *end) if end else ("False", "InUse", "The cluster is in use again.")
    return {"conditions": with_conditions(seen.cluster, {ENDING: said}, now)}


def _patch(cluster: Manifest, status: Manifest) -> Patch:
    return patch_of(DASKCLUSTER, cluster, {"status": status}, "status", unchanged=True)
