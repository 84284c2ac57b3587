"""What a waiting client sees, judged: go on, wait, or say what is wrong. Pure: time is an argument.

Progress is whatever is on its way: the Pod waits for its first word, for a gate, or for a node that an
autoscaler says it is making; its image is pulled; its containers start and are not ready yet. That may take
as long as it takes. What stays as it is unless somebody acts is no progress, nor is whatever follows the
first end of a container, until it is Ready: a program that ends whenever it is started is running most of
the time, too. Without progress, patience ends after the limit that the user has set, and sooner where
`SOONEST` or `MOST_ENDS` say so, because waiting longer tells nothing new.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.explain import Explanation, explain_pod
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.scheduler_pod import pick_scheduler

AT_ONCE = 0.0
CONFIGURATION_SECONDS = 20.0
"""For a Secret or ConfigMap that somebody may be about to make: a kubelet looks again every few seconds."""
IMAGE_SECONDS = 30.0
"""For a registry's hiccup: a kubelet pulls at once, and again 10 and 30 s later."""
REFUSED_SECONDS = 40.0
"""For a quota that is being freed or a namespace that is being set up: the operator asks anew after 30 s."""

SOONEST: Mapping[str, float] = {
    "Invalid": AT_ONCE,
    "Suspended": AT_ONCE,
    "LossPolicyFail": AT_ONCE,
    "InvalidImageName": AT_ONCE,
    "ErrImageNeverPull": CONFIGURATION_SECONDS,
    "CreateContainerConfigError": CONFIGURATION_SECONDS,
    "CreateContainerError": CONFIGURATION_SECONDS,
    "ErrImagePull": IMAGE_SECONDS,
    "ImagePullBackOff": IMAGE_SECONDS,
    "QuotaExceeded": REFUSED_SECONDS,
    "Forbidden": REFUSED_SECONDS,
}
"""Seconds without progress after which a reason is believed, by Kubernetes' word for it or the operator's."""

MOST_ENDS: Mapping[str, int] = {"StartError": 2, "ContainerCannotRun": 2, "OOMKilled": 2}
"""Ends of a container after which it is believed to end whenever it is started."""
DEFAULT_ENDS = 3

_MISSING_OBJECT = re.compile(r'(secret|configmap) "[^"]*" not found', re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """How a start stands.

    Attributes
    ----------
    state : str
        ``"ready"``, ``"progressing"`` or ``"failing"``: it stays as it is unless something changes.
    reason : str
        Kubernetes' word for it.
    message : str
        The same as a sentence's end.
    pod : Manifest or None
        The scheduler, once there is one.
    container : str
        The container that it is about; empty if it is about none.
    ends : int
        How often that container has ended by itself.
    is_waiting_to_restart : bool
        Whether it is not started again at once any more, or not at all.
    """

    state: str
    reason: str
    message: str
    pod: Manifest | None = None
    container: str = ""
    ends: int = 0
    is_waiting_to_restart: bool = False

    @property
    def limit(self) -> float:
        """Seconds without progress after which this reason is believed."""
        if _MISSING_OBJECT.search(self.message):
            return CONFIGURATION_SECONDS
        return SOONEST.get(self.reason, float("inf"))


@dataclass(frozen=True)
class Patience:
    """How long a start has made no progress.

    Attributes
    ----------
    limit : float
        Seconds without progress after which it counts as failed, whatever the reason.
    failing_since : float or None
        When it was first seen failing, with no progress since.
    reason_since : float or None
        When it was first seen failing for reasons that are believed after the same time as the last.
    verdict : Verdict or None
        The last one.
    ends : mapping
        Ends of containers, by the uid of their Pod: the operator may have made the scheduler anew.
    """

    limit: float
    failing_since: float | None = None
    reason_since: float | None = None
    verdict: Verdict | None = None
    ends: Mapping[str, int] = field(default_factory=dict)

    def after(self, verdict: Verdict, now: float) -> Patience:
        """Take note of a verdict."""
        ends = self.ends
        if verdict.ends and verdict.pod is not None:
            ends = {**ends, verdict.pod["metadata"]["uid"]: verdict.ends}
        noted = replace(self, verdict=verdict, ends=ends)
        if verdict.state != "failing":
            return noted if ends else replace(noted, failing_since=None, reason_since=None)
        is_same = self.verdict is not None and self.verdict.limit == verdict.limit
        return replace(
            noted,
            failing_since=now if self.failing_since is None else self.failing_since,
            reason_since=self.reason_since if is_same and self.reason_since is not None else now,
        )

    def is_over(self, now: float) -> bool:
        """Say whether there is no use in waiting any longer."""
        last = self.verdict
        if last is None or last.state != "failing" or self.failing_since is None or self.reason_since is None:
            return False
        most = MOST_ENDS.get(last.reason, DEFAULT_ENDS)
        if last.is_waiting_to_restart and sum(self.ends.values()) >= most:
            return True
        return now - self.failing_since >= self.limit or now - self.reason_since >= last.limit


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
        Events about its scheduler's Pod, or as many as could be read.
    """
    pod = pick_scheduler(pods, cluster["metadata"]["uid"])
    if pod is not None:
        why = explain_pod(pod, events)
        ends, is_waiting = _ends(pod, why)
        return Verdict(why.state, why.reason, why.message, pod, why.container, ends, is_waiting)
    # Without a Pod there is no progress; the operator says why, if it has looked at this very spec.
    status = cluster.get("status") or {}
    if status.get("observedGeneration") == cluster["metadata"].get("generation"):
        for type_, fine in (("Accepted", "True"), ("SchedulerLost", "False"), ("SchedulerReady", "True")):
            said = told(cluster, type_)
            if said and said.get("status") != fine:
                text = f"the operator says: {said.get('message', '')}"
                return Verdict("failing", said.get("reason") or type_, text)
    return Verdict("failing", "NoSchedulerPod", "the operator has not made the scheduler's Pod")


def _ends(pod: Manifest, why: Explanation) -> tuple[int, bool]:
    """Count how often the container that an explanation is about has ended; say whether it has to wait."""
    status = pod.get("status") or {}
    statuses = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    entry: Manifest = next((one for one in statuses if one["name"] == why.container), {})
    state = entry.get("state") or {}
    is_backing_off = "waiting" in state and "terminated" in (entry.get("lastState") or {})
    ends = int(entry.get("restartCount") or 0) + ("terminated" in state or is_backing_off)
    return ends, bool(ends) and (is_backing_off or status.get("phase") == "Failed")
