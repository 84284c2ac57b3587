"""DaskCluster: what is remembered of its scheduler's Pods, and whether one was lost.

A scheduler is lost when the Pod that once was ready is gone, going or ended without our doing, or when its
container was started again: either way it knows nothing of earlier results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.observe import Observed
from dask_gpu_k8s.operator.engine.actions import Patch, patch_of
from dask_gpu_k8s.operator.objects.containers import scheduler_container
from dask_gpu_k8s.operator.pods import container_restarts, is_finished, is_ready, is_terminating

FAILED = "LossPolicyFail"
"""Reason of the condition SchedulerLost that says: the loss is final until people act."""


@dataclass(frozen=True)
class Memory:
    """What a cluster's status says of its scheduler's Pods.

    Attributes
    ----------
    uid : str
        Of the Pod seen last; empty if there was none or we took it away ourselves.
    before : int
        Restarts until that Pod was there.
    was_ready : bool
        Whether that Pod was ever ready.
    when_ready : int
        Restarts when it was last known to be ready.
    total : int
        Restarts so far: Pods replaced and containers started again.
    """

    uid: str = ""
    before: int = 0
    was_ready: bool = False
    when_ready: int = 0
    total: int = 0

    def manifest(self) -> dict[str, Any] | None:
        """Write it as ``status.schedulerPod``; the total stands beside it."""
        if not self.uid:
            return None
        return {
            "uid": self.uid,
            "restartsBefore": self.before,
            "wasReady": self.was_ready,
            "restartsWhenReady": self.when_ready,
        }


def remembered(cluster: Manifest) -> Memory:
    """Read what a cluster's status says."""
    status = cluster.get("status") or {}
    pod = status.get("schedulerPod") or {}
    return Memory(
        str(pod.get("uid") or ""),
        int(pod.get("restartsBefore") or 0),
        bool(pod.get("wasReady")),
        int(pod.get("restartsWhenReady") or 0),
        int(status.get("schedulerRestarts") or 0),
    )


def is_lost(seen: Observed) -> bool:
    """Say whether a scheduler that was ready once is there no more, and not because we took it away."""
    known, pod = remembered(seen.cluster), seen.scheduler
    if not known.was_ready and not (known.uid and _runs_once(seen.cluster)):
        return False
    if pod is None or not seen.is_own(pod) or pod["metadata"]["uid"] != known.uid:
        return True
    return is_terminating(pod) or is_finished(pod) or known.before + _restarts(pod) > known.when_ready


def has_failed(seen: Observed) -> bool:
    """Say whether the scheduler is lost for good: until the spec is another one, nothing is made again."""
    if seen.cluster["spec"]["scheduler"].get("lossPolicy") != "Fail" or not is_lost(seen):
        return False
    return not is_forgiven(seen.cluster)


def is_forgiven(cluster: Manifest) -> bool:
    """Say whether people have changed the spec since the loss was found to be final."""
    loss = told(cluster, "SchedulerLost")
    if loss.get("status") != "True" or loss.get("reason") != FAILED:
        return False
    return bool(loss.get("observedGeneration") != cluster["metadata"].get("generation"))


def remember(seen: Observed, *, is_going: bool) -> Memory:
    """Say what is to be remembered now.

    Parameters
    ----------
    seen : Observed
    is_going : bool
        Whether we take the present Pod away ourselves: the next one replaces no lost one.
    """
    known, pod = remembered(seen.cluster), seen.scheduler
    if is_going:
        return Memory(total=known.total)
    if is_forgiven(seen.cluster):
        known = replace(known, was_ready=False)
    if pod is None or not seen.is_own(pod) or has_failed(seen):
        return known
    uid = pod["metadata"]["uid"]
    is_known = uid == known.uid
    if is_terminating(pod) and not is_known:
        return known
    before = known.before if is_known else known.total + bool(known.uid)
    total = before + _restarts(pod)
    if is_ready(pod):
        return Memory(uid, before, True, total, total)
    return Memory(uid, before, is_known and known.was_ready, known.when_ready if is_known else 0, total)


def forget(cluster: Manifest) -> list[Patch]:
    """Write down, before it happens, that we take the scheduler's Pod away ourselves."""
    if not remembered(cluster).uid:
        return []
    return [patch_of(DASKCLUSTER, cluster, {"status": {"schedulerPod": None}}, "status")]


def _runs_once(cluster: Manifest) -> bool:
    """Say whether the runner of a DaskJob is in the scheduler's Pod: another Pod would run it once more."""
    return labels.JOB_SIDECAR in (cluster["metadata"].get("annotations") or {})


def _restarts(pod: Manifest) -> int:
    return container_restarts(pod, scheduler_container(pod["spec"]))
