"""DaskCluster: its default group, and passing on to it what is edited in the cluster.

An edit of the cluster wins over the group, and an edit of the group itself stays until the next one of the
cluster. So what was last passed on is remembered: the replicas in the cluster's status, which is written
before the group is made and after it is patched; the template as a mark on the group, in the same write as
the template itself. While an autoscaler serves the group, edits of the replicas are not passed on, and are
remembered as if they had been: they do not come up again when the autoscaler goes.

Before replicas are passed on, the memory of the last ones is wiped. Otherwise they would look like passed on
to whoever returns to them while the new ones are on their way, and the group would keep those.
"""

from __future__ import annotations

from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.engine.actions import Action, Create, Patch, patch_of
from dask_gpu_k8s.operator.objects.templates import difference, mark_of
from dask_gpu_k8s.operator.objects.workers import make_default_group, replicas_of
from dask_gpu_k8s.operator.pods import is_terminating


def plan_new_group(seen: Observed) -> list[Action]:
    """Make the default group if there is none."""
    if seen.default_group is not None or seen.awaits_runner:
        return []
    return [Create(DASKWORKERGROUP, make_default_group(seen.cluster))]


def plan_first_replicas(seen: Observed) -> list[Action]:
    """Remember the replicas with which the default group is about to be made for the first time."""
    if seen.default_group is not None or _passed(seen.cluster) is not None:
        return []
    return [_remember(seen.cluster, replicas_of(seen.cluster))]


def plan_edits(seen: Observed) -> list[Action]:
    """Pass edits of the cluster's replicas and worker template on to the default group."""
    cluster, group = seen.cluster, seen.default_group
    if group is None or not _takes_edits(seen, group):
        return []
    patch = _template_patch(cluster, group)
    if _needs_replicas(seen, group):
        patch = _with_replicas(patch, replicas_of(cluster))
    if patch:
        return [patch_of(DASKWORKERGROUP, group, patch)]
    is_remembered = _passed(cluster) == replicas_of(cluster)
    return [] if is_remembered else [_remember(cluster, replicas_of(cluster))]


def plan_forgetting(seen: Observed) -> list[Action]:
    """Wipe the memory of the last replicas, before others are passed on."""
    cluster, group = seen.cluster, seen.default_group
    if group is None or not _takes_edits(seen, group) or _passed(cluster) is None:
        return []
    return [_remember(cluster, None)] if _needs_replicas(seen, group) else []


def _takes_edits(seen: Observed, group: Manifest) -> bool:
    return seen.is_own(group) and not is_terminating(group)


def _needs_replicas(seen: Observed, group: Manifest) -> bool:
    """Say whether the cluster's replicas were edited and have not reached the group."""
    wanted = replicas_of(seen.cluster)
    is_so = seen.autoscaled or group["spec"]["worker"].get("replicas") == wanted
    return _passed(seen.cluster) != wanted and not is_so


def _template_patch(cluster: Manifest, group: Manifest) -> dict[str, Any]:
    made = make_default_group(cluster)
    mark = mark_of(made)
    if mark_of(group) == mark:
        return {}
    if mark_of(group) is None:
        # Made before there were marks: whether cluster or group was edited since, nobody knows.
        return {"metadata": {"annotations": {labels.TEMPLATE: mark}}}
    was, now = group["spec"]["worker"], made["spec"]["worker"]
    worker = {
        field: difference(was.get(field) or {}, now.get(field) or {})
        for field in ("metadata", "spec")
        if was.get(field) != now.get(field)
    }
    return {"metadata": _metadata_patch(group, made), "spec": {"worker": worker}}


def _metadata_patch(group: Manifest, made: Manifest) -> dict[str, Any]:
    """Change the labels and annotations that the group has from the template; others stay."""
    before = group["spec"]["worker"].get("metadata") or {}
    patch: dict[str, Any] = {}
    for field in ("labels", "annotations"):
        wanted = made["metadata"].get(field) or {}
        gone = {key: None for key in before.get(field) or () if key not in wanted}
        patch[field] = {**gone, **wanted}
    return patch


def _with_replicas(patch: dict[str, Any], replicas: int) -> dict[str, Any]:
    worker = (patch.get("spec") or {}).get("worker") or {}
    return {**patch, "spec": {"worker": {**worker, "replicas": replicas}}}


def _passed(cluster: Manifest) -> int | None:
    value = (cluster.get("status") or {}).get("defaultGroupReplicas")
    return None if value is None else int(value)


def _remember(cluster: Manifest, replicas: int | None) -> Patch:
    """Write down the replicas passed on; only if the cluster is as we saw it, for they may be others now."""
    status: Manifest = {"defaultGroupReplicas": replicas}
    if not (cluster.get("status") or {}).get("phase"):
        status["phase"] = "Created"
    return patch_of(DASKCLUSTER, cluster, {"status": status}, "status", unchanged=True)
