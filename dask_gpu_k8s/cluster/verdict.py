"""What a waiting client sees, judged: go on, wait, or say what is wrong. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.explain import explain_pod
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.scheduler_pod import pick_scheduler

HOPELESS = ("Invalid",)
"""Reasons of a DaskCluster's condition Accepted that no waiting mends."""


@dataclass(frozen=True)
class Verdict:
    """How a start stands.

    Attributes
    ----------
    ready : bool
        Whether the scheduler is Ready.
    failing : bool
        Whether it stays as it is unless something changes.
    reason : str
        Kubernetes' word for it.
    message : str
        The same as a sentence's end.
    pod : Manifest or None
        The scheduler, once there is one.
    hopeless : bool
        Whether waiting is of no use.
    """

    ready: bool
    failing: bool
    reason: str
    message: str
    pod: Manifest | None = None
    hopeless: bool = False


@dataclass(frozen=True)
class Patience:
    """How long a start has made no progress.

    Attributes
    ----------
    limit : float
        Seconds without progress after which it counts as failed.
    failing_since : float or None
        When it was first seen failing, with nothing but failing since.
    """

    limit: float
    failing_since: float | None = None

    def after(self, verdict: Verdict, now: float) -> Patience:
        """Take note of a verdict; progress of any kind begins the count anew."""
        if not verdict.failing:
            return replace(self, failing_since=None)
        return self if self.failing_since is not None else replace(self, failing_since=now)

    def is_over(self, now: float) -> bool:
        """Say whether it has failed for as long as the limit."""
        return self.failing_since is not None and now - self.failing_since >= self.limit


def operator_has_seen(cluster: Manifest) -> bool:
    """Say whether an operator, ours or upstream's, has written anything to a DaskCluster."""
    status = cluster.get("status") or {}
    return bool(status.get("phase") or status.get("observedGeneration"))


def judge(cluster: Manifest, pods: Sequence[Manifest], events: Sequence[Manifest]) -> Verdict:
    """Judge how the start of a cluster stands.

    Parameters
    ----------
    cluster : Manifest
        The DaskCluster.
    pods : sequence of Manifest
        Pods with its scheduler's labels.
    events : sequence of Manifest
        Events of its namespace, or as many as could be read.
    """
    pod = pick_scheduler(pods, cluster["metadata"]["uid"])
    if pod is not None:
        told = explain_pod(pod, events)
        return Verdict(told.state == "ready", told.state == "failing", told.reason, told.message, pod)
    accepted = find((cluster.get("status") or {}).get("conditions"), "Accepted") or {}
    if accepted.get("status") == "False":
        reason = accepted.get("reason") or "NotAccepted"
        hopeless = reason in HOPELESS
        return Verdict(
            False, True, reason, f"the operator says: {accepted.get('message', '')}", None, hopeless
        )
    # Nothing to go by yet; without a Pod there is no progress either.
    return Verdict(False, True, "NoSchedulerPod", "the operator has not made the scheduler's Pod")
