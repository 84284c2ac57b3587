"""DaskCluster: what to do about it."""

from __future__ import annotations

from datetime import datetime

from dask_gpu_k8s.operator.daskcluster.certificates import with_certificates
from dask_gpu_k8s.operator.daskcluster.default_group import (
    plan_edits,
    plan_first_replicas,
    plan_forgetting,
    plan_new_group,
)
from dask_gpu_k8s.operator.daskcluster.memory import has_failed
from dask_gpu_k8s.operator.daskcluster.observe import Observed, problem
from dask_gpu_k8s.operator.daskcluster.protection import plan_budget, plan_policy
from dask_gpu_k8s.operator.daskcluster.scheduler import plan_new_scheduler, plan_removal
from dask_gpu_k8s.operator.daskcluster.services import plan_service_edits, plan_services
from dask_gpu_k8s.operator.engine.actions import Plan, soonest
from dask_gpu_k8s.operator.pods import is_terminating


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a cluster now.

    The order is that of the stages: the policy comes before what it protects, and the scheduler before the
    group, so that workers never take what a quota leaves for it.
    """
    if is_terminating(seen.cluster) or problem(seen.cluster) or has_failed(seen):
        return Plan()
    if left := seen.time_left_to_another(now):
        return Plan(wake_after=left)
    stages, wait = plan_removal(seen, now)
    if seen.cooling:
        stages += [plan_forgetting(seen), plan_edits(seen)]
        wait = soonest(wait, seen.cooling)
    elif seen.certificates and seen.certificates.hindrance:
        stages += [plan_forgetting(seen), plan_edits(seen)]
    else:
        stages += [
            plan_policy(seen),
            [*plan_first_replicas(seen), *plan_new_scheduler(seen), *plan_services(seen)],
            [*plan_new_group(seen), *plan_forgetting(seen)],
            plan_edits(seen),
            [*plan_service_edits(seen), *plan_budget(seen)],
        ]
        stages = with_certificates(seen.certificates, stages, now)
    if seen.certificates:
        wait = soonest(wait, max(seen.cooling, seen.certificates.wake(now)))
    return Plan(tuple(tuple(stage) for stage in stages if stage), wait)
