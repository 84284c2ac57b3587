"""A cluster of dask-kubernetes' operator: left alone and told so, or taken over.

Taking over, the Deployments are paused; their ReplicaSets are deleted so that the Pods stay and run on; then
the Deployments go, the Pods become ours, and the marks go last of all from the cluster itself. As long as it
has them, nobody else here touches it, so it does not matter where an operator stops in between.

Not the Deployments first: those of a group all have the same selector, so that one of them would take over
the ReplicaSet of another that is gone, and end its Pod. One that is paused makes no new ReplicaSet.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import (
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    DEPLOYMENT,
    POD,
    REPLICASET,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.actions import (
    Action,
    Conclusion,
    Delete,
    Note,
    Outcome,
    Patch,
    Plan,
    Propagation,
    delete_of,
    patch_of,
    refusals,
)
from dask_gpu_k8s.operator.engine.refusals import RETRY_REFUSED
from dask_gpu_k8s.operator.objects.metadata import make_owner_reference
from dask_gpu_k8s.operator.objects.scheduler import make_scheduler_pod
from dask_gpu_k8s.operator.objects.templates import mark_of
from dask_gpu_k8s.operator.objects.workers import make_worker_pod
from dask_gpu_k8s.operator.pods import is_terminating
from dask_gpu_k8s.operator.upstream.marks import is_foreign
from dask_gpu_k8s.operator.upstream.observe import Observed
from dask_gpu_k8s.operator.upstream.words import OTHER, refusal, say, strip, warning

LOOK_AGAIN = 0.5
"""Seconds until it is looked whether the collector has let go of what was deleted."""

POD_TEMPLATE_HASH = "pod-template-hash"
"""Label by which a ReplicaSet knows its Pods: without it, none takes them back."""


def plan(seen: Observed, now: datetime) -> Plan:
    """Decide what to do about a marked cluster now."""
    if not seen.is_wanted or seen.trouble:
        wake = RETRY_REFUSED if seen.trouble else None
        return Plan(_stages([_say(seen, now)]), wake)
    last = strip(DASKCLUSTER, [seen.cluster])
    if is_terminating(seen.cluster):
        return Plan(_stages(last))
    if seen.deployments or seen.replicasets:
        return Plan(_stages(_plan_deployments(seen)), LOOK_AGAIN)
    below = [
        *strip(DASKWORKERGROUP, seen.groups),
        *strip(DASKAUTOSCALER, seen.autoscalers),
        *strip(DASKJOB, [seen.job] if seen.job else []),
    ]
    return Plan(_stages(_adoptions(seen), below, last))


def conclude(seen: Observed, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion | None:
    """Tell of what has become another's, or ours."""
    if refusals(outcomes):
        return Conclusion({}, (), RETRY_REFUSED)
    done = [outcome.action for outcome in outcomes if outcome.state == "done"]
    if len(done) < len(plan.actions) or not done:
        return None
    if not seen.is_wanted or seen.trouble:
        return Conclusion({}, (Note("Warning", OTHER, _message(seen)),))
    if not isinstance(done[-1], Patch) or done[-1].resource != DASKCLUSTER:
        return None
    text = f"Took over the cluster from dask-kubernetes' operator, with {len(seen.pods)} running Pods."
    return Conclusion({}, (Note("Normal", "Adopted", text),))


def _stages(*stages: Iterable[Action | None]) -> tuple[tuple[Action, ...], ...]:
    made = (tuple(action for action in stage if action is not None) for stage in stages)
    return tuple(stage for stage in made if stage)


def _say(seen: Observed, now: datetime) -> Patch | None:
    """Write down that another operator has to do with the cluster; of one that is ours, as a warning."""
    type_, status = ("Accepted", "False") if is_foreign(seen.cluster) else (OTHER, "True")
    return say(DASKCLUSTER, seen.cluster, type_, status, _message(seen), now)


def _message(seen: Observed) -> str:
    if seen.trouble:
        return f"The cluster cannot be taken over from dask-kubernetes' operator: {seen.trouble}"
    words = refusal if is_foreign(seen.cluster) else warning
    return words(DASKCLUSTER, seen.cluster)


def _plan_deployments(seen: Observed) -> list[Patch] | list[Delete]:
    """Take the next step towards Pods that belong to nobody."""
    if not is_foreign(seen.cluster):
        # The cluster has Pods of ours: these are the other operator's strays.
        return _deletes(DEPLOYMENT, seen.deployments, "Background")
    running = [each for each in seen.deployments if not each["spec"].get("paused")]
    if running:
        return [_pause(each) for each in running]
    if not all(map(_is_observed, seen.deployments)):
        return []
    if seen.replicasets:
        return _deletes(REPLICASET, seen.replicasets, "Orphan")
    return _deletes(DEPLOYMENT, seen.deployments, "Orphan")


def _pause(deployment: Manifest) -> Patch:
    return patch_of(DEPLOYMENT, deployment, {"spec": {"paused": True}}, unchanged=True)


def _is_observed(deployment: Manifest) -> bool:
    """Say whether its controller knows that it is paused."""
    observed = (deployment.get("status") or {}).get("observedGeneration") or 0
    return bool(observed >= deployment["metadata"]["generation"])


def _deletes(resource: Resource, objs: Iterable[Manifest], propagation: Propagation) -> list[Delete]:
    return [delete_of(resource, each, propagation=propagation) for each in objs if not is_terminating(each)]


def _adoptions(seen: Observed) -> list[Patch]:
    """Make the Pods ours, as if we had made them from the templates of now."""
    adoptions = []
    for pod in seen.pods:
        if pod["metadata"].get("ownerReferences"):
            continue
        if pod["metadata"]["labels"][labels.COMPONENT] == labels.SCHEDULER:
            made = make_scheduler_pod(seen.cluster)
            adoptions.append(_adopt(pod, seen.cluster, DASKCLUSTER, mark_of(made)))
        elif group := _group_of(pod, seen):
            made = make_worker_pod(seen.cluster, group, 0)
            adoptions.append(_adopt(pod, group, DASKWORKERGROUP, mark_of(made)))
    return adoptions


def _group_of(pod: Manifest, seen: Observed) -> Manifest | None:
    name = pod["metadata"]["labels"].get(labels.WORKERGROUP_NAME)
    return next((group for group in seen.groups if group["metadata"]["name"] == name), None)


def _adopt(pod: Manifest, owner: Manifest, kind: Resource, mark: str | None) -> Patch:
    metadata = {
        "ownerReferences": [make_owner_reference(owner, kind)],
        "labels": {POD_TEMPLATE_HASH: None},
        "annotations": {labels.TEMPLATE: mark},
    }
    return patch_of(POD, pod, {"metadata": metadata}, unchanged=True)
