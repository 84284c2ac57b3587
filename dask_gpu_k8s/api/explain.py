"""Why a Pod, or a group of Pods, is not ready: one word, and a sentence for people.

Pure: Pods and Events in, an `Explanation` out. The waiting client, the widget, the command line and the
operator's conditions all ask here, so that they say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dask_gpu_k8s.api.conditions import find, holds
from dask_gpu_k8s.api.container_state import Explanation, explain_container
from dask_gpu_k8s.api.types import Manifest

__all__ = ["Explanation", "explain_group", "explain_pod"]

QUOTA_EXCEEDED, CREATE_REFUSED = "QuotaExceeded", "CreateRefused"
"""Why a group has not enough Pods, where the API server takes no more."""

_MOUNTING = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_MOUNTED = ("Pulling", "Pulled", "Created", "Started")
"""What a kubelet writes only when all volumes are there."""

_SCALING_UP = ("TriggeredScaleUp", "Nominated")
"""What node autoscalers (Kubernetes' own, Karpenter) write on a Pod for which they are making a node."""
_NOT_SCALING_UP = ("NotTriggerScaleUp", "FailedScaleUp")
"""What they (Kubernetes' own, Google's) write if they will make none, or could not."""


def explain_pod(pod: Manifest, events: Sequence[Manifest] = ()) -> Explanation:
    """Say why a Pod is not ready.

    Parameters
    ----------
    pod : dict
        The Pod with its status.
    events : sequence of dict
        Events of the namespace, those of other objects included.

    Returns
    -------
    Explanation
        ``failing`` means that the Pod stays as it is unless something about it or around it changes.
    """
    status = pod.get("status", {})
    mine = events_of(pod, events)
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return Explanation("progressing", "Terminating", "is being deleted")
    if holds(status.get("conditions"), "Ready"):
        return Explanation("ready", "Ready", "is ready")
    return (
        _explain_end(pod)
        or _explain_scheduling(pod, mine)
        or _explain_containers(pod, mine)
        or _explain_gates(status)
    )


def events_of(pod: Manifest, events: Sequence[Manifest]) -> list[Manifest]:
    """Pick the events about this very Pod, not about an earlier one of its name; the latest comes last."""
    metadata = pod.get("metadata", {})

    def concerns(event: Manifest) -> bool:
        about = event.get("involvedObject") or event.get("regarding") or {}
        uids = {about.get("uid"), metadata.get("uid")} - {None, ""}
        return about.get("name") == metadata.get("name") and len(uids) <= 1

    return sorted(filter(concerns, events), key=_when)


def _when(event: Manifest) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("metadata", {}).get("creationTimestamp")
        or ""
    )


def _latest(events: Sequence[Manifest], reasons: Sequence[str]) -> Manifest | None:
    return next((event for event in reversed(events) if event.get("reason") in reasons), None)


def _message(event: Manifest) -> str:
    return str(event.get("message") or event.get("note") or event.get("reason"))


def _explain_end(pod: Manifest) -> Explanation | None:
    """Explain a Pod that is over: evicted, refused by its node, failed or done."""
    status = pod.get("status", {})
    disrupted = find(status.get("conditions"), "DisruptionTarget")
    if disrupted is not None and disrupted.get("status") == "True":
        return Explanation("failing", disrupted.get("reason") or "Disrupted", disrupted.get("message", ""))
    if status.get("phase") == "Succeeded":
        return Explanation("failing", "Completed", "all its containers have ended without an error")
    if status.get("phase") != "Failed":
        return None
    if status.get("reason"):
        return Explanation("failing", status["reason"], status.get("message", ""))
    return _first_trouble(pod, ()) or Explanation("failing", "Failed", status.get("message", "has failed"))


def _explain_scheduling(pod: Manifest, events: Sequence[Manifest]) -> Explanation | None:
    """Explain a Pod that has no node yet."""
    if pod.get("spec", {}).get("nodeName"):
        return None
    scheduled = find(pod.get("status", {}).get("conditions"), "PodScheduled") or {}
    autoscaler = _latest(events, (*_SCALING_UP, *_NOT_SCALING_UP))
    refused = _latest(events, ("FailedScheduling",))
    if scheduled.get("reason") == "SchedulingGated":
        return Explanation("progressing", "SchedulingGated", scheduled.get("message", ""))
    # The last word counts: a node that was being made may have failed.
    if autoscaler is not None and autoscaler["reason"] in _SCALING_UP:
        return Explanation("progressing", "ScalingUp", f"waits for a new node: {_message(autoscaler)}")
    if scheduled.get("reason") == "Unschedulable" or refused is not None:
        why = scheduled.get("message") or (_message(refused) if refused is not None else "")
        if autoscaler is not None:
            why = f"{why} No node is made for it: {_message(autoscaler)}"
        return Explanation("failing", "Unschedulable", f"fits on no node: {why}")
    return Explanation("progressing", "Scheduling", "waits for a node")


def _explain_containers(pod: Manifest, events: Sequence[Manifest]) -> Explanation | None:
    """Explain a Pod on a node by what its containers wait for."""
    trouble = _first_trouble(pod, events)
    mounting = _latest(events, (*_MOUNTING, *_MOUNTED))
    if trouble is None or trouble.state == "failing" or mounting is None:
        return trouble
    started = any("running" in entry.get("state", {}) for entry in _container_statuses(pod))
    if started or mounting["reason"] in _MOUNTED:
        return trouble
    return Explanation("failing", str(mounting["reason"]), _message(mounting))


def _container_statuses(pod: Manifest) -> list[Manifest]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _first_trouble(pod: Manifest, events: Sequence[Manifest]) -> Explanation | None:
    """Explain by the first container that fails or, if none does, the first that is not ready yet."""
    found = [
        explained
        for entry in _container_statuses(pod)
        if (explained := explain_container(pod, entry, [*events])) is not None
    ]
    failing = [explained for explained in found if explained.state == "failing"]
    return next(iter(failing or found), None)


def _explain_gates(status: Manifest) -> Explanation:
    """Explain a Pod whose containers have nothing to say: no status yet, or a readiness gate is shut."""
    ready = find(status.get("conditions"), "Ready") or {}
    if not status.get("containerStatuses"):
        return Explanation("progressing", "ContainerCreating", "its node has not started it yet")
    return Explanation(
        "progressing", ready.get("reason") or "NotReady", ready.get("message") or "is not ready yet"
    )


def explain_group(
    pods: Sequence[Manifest], desired: int, events: Sequence[Manifest] = (), refusal: str = ""
) -> Explanation:
    """Say why a group does not have the ready Pods that it should have.

    Parameters
    ----------
    pods : sequence of dict
        The group's Pods that are to stay.
    desired : int
        How many there should be.
    events : sequence of dict
        Events of the namespace.
    refusal : str
        What the API server last answered when another Pod was to be created, e.g. ``"exceeded quota: …"``.

    Returns
    -------
    Explanation
        Its message counts, and gives the most frequent cause.
    """
    explained = [explain_pod(pod, events) for pod in pods]
    waiting = [one for one in explained if one.state != "ready"]
    ready = len(explained) - len(waiting)
    counted = f"{ready} of {desired} ready"
    if refusal and len(pods) < desired:
        reason = QUOTA_EXCEEDED if "exceeded quota" in refusal else CREATE_REFUSED
        return Explanation("failing", reason, f"{counted}; no more Pods may be made: {refusal}")
    if ready >= desired:
        return Explanation("ready", "Ready", counted)
    if not waiting:
        return Explanation("progressing", "Creating", f"{counted}; Pods are being made")
    failing = [one for one in waiting if one.state == "failing"]
    cause, number = Counter(failing or waiting).most_common(1)[0]
    return Explanation(cause.state, cause.reason, f"{counted}; {number}: {cause.message}", cause.container)
