"""What a Pod's own status says about it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.conditions import holds, parse_time, told
from dask_gpu_k8s.api.types import Manifest

QUICK_DEATH = timedelta(seconds=10)
"""A Pod that ends sooner than this after its creation is replaced only that long after its end."""


def is_finished(pod: Manifest) -> bool:
    """Say whether all of its containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_terminating(resource: Manifest) -> bool:
    """Say whether somebody has deleted it already."""
    return bool(resource["metadata"].get("deletionTimestamp"))


def is_marked(pod: Manifest) -> bool:
    """Say whether the operator has decided that it goes."""
    return labels.RETIRE in (pod["metadata"].get("annotations") or {})


def is_worker(resource: Manifest) -> bool:
    """Say whether it is a worker Pod."""
    return (resource["metadata"].get("labels") or {}).get(labels.COMPONENT) == labels.WORKER


def is_ready(pod: Manifest) -> bool:
    """Say whether Kubernetes counts it as ready."""
    return holds((pod.get("status") or {}).get("conditions"), "Ready")


def scheduling_of(pod: Manifest) -> str:
    """Return why it has no node, in one word, e.g. ``"Unschedulable"``; empty if nobody has said."""
    return str(told(pod, "PodScheduled").get("reason") or "")


def has_started(pod: Manifest) -> bool:
    """Say whether any of its containers has ever run."""
    return any(
        (status.get("state") or {}).get("running")
        or (status.get("state") or {}).get("terminated")
        or (status.get("lastState") or {}).get("terminated")
        or status.get("restartCount")
        for status in _containers(pod)
    )


def is_running(pod: Manifest) -> bool:
    """Say whether any of its containers runs now, so that there may be work in it."""
    return any((status.get("state") or {}).get("running") for status in _containers(pod))


def container_restarts(pod: Manifest, container: str) -> int:
    """Return how often one of its containers was started again."""
    counts = (status.get("restartCount") for status in _containers(pod) if status["name"] == container)
    return int(next(counts, 0) or 0)


def is_owned_by(resource: Manifest, uid: str) -> bool:
    """Say whether its controlling owner has this uid."""
    owners = resource["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == uid and owner.get("controller") for owner in owners)


def is_leftover(resource: Manifest, kind: str, owner: Manifest) -> bool:
    """Say whether it belongs to an earlier object of the name of `owner`, and goes by itself."""
    meta = owner["metadata"]
    return any(
        (each.get("kind"), each.get("name")) == (kind, meta["name"]) and each.get("uid") != meta["uid"]
        for each in resource["metadata"].get("ownerReferences") or ()
    )


def controller(resource: Manifest) -> Manifest:
    """Return the reference to its controlling owner; empty if it has none."""
    owners = resource["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), {})


def ended_at(pod: Manifest) -> datetime | None:
    """Return when the last of its containers ended."""
    ends = (
        ((status.get("state") or {}).get("terminated") or {}).get("finishedAt") for status in _containers(pod)
    )
    return max((parse_time(end) for end in ends if end), default=None)


def time_held(pod: Manifest, now: datetime) -> float:
    """Return for how many more seconds a Pod that has ended keeps its place before it is replaced.

    One that ended soon after its creation is not replaced at once, so that a crash makes no hot loop.
    """
    created = parse_time(pod["metadata"]["creationTimestamp"])
    ended = ended_at(pod)
    if ended is None:
        # Ended without a container's word, e.g. refused by the kubelet: only its age tells.
        return (created + QUICK_DEATH - now).total_seconds()
    if ended - created >= QUICK_DEATH:
        return 0.0
    return (ended + QUICK_DEATH - now).total_seconds()


def started_at(pod: Manifest) -> datetime | None:
    """Return when the first of its containers began, or the Pod itself if they do not say."""
    begun = [
        (state.get("running") or state.get("terminated") or {}).get("startedAt")
        for state in (status.get("state") or {} for status in _containers(pod))
    ]
    begun.append((pod.get("status") or {}).get("startTime"))
    return min((parse_time(text) for text in begun if text), default=None)


def _containers(pod: Manifest) -> Iterable[Manifest]:
    return (pod.get("status") or {}).get("containerStatuses") or ()
