"""How a Pod, or a container in it, came to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dask_gpu_k8s.api.conditions import find, parse_time
from dask_gpu_k8s.api.container_state import describe_end, last_line
from dask_gpu_k8s.api.types import Manifest

DELETED = "Deleted"
"""Reason of the end of a Pod that somebody has deleted."""

_UNREMARKABLE = (DELETED, "Completed")

_UNKNOWN = "ContainerStatusUnknown"
"""Reason of a container that its kubelet has lost; the message is the kubelet's then, not the container's."""

_TAKEN_AWAY = ("Evicted", "Preempted")
"""Events by which it is said of a Pod, before it ends, that it will not end by itself."""


@dataclass(frozen=True)
class End:
    """How one run of a container ended, alone or with its Pod.

    Attributes
    ----------
    pod : str
        Name of the Pod.
    node : str
        Name of its node; empty if it never had one.
    reason : str
        One word, Kubernetes' own where it has one, e.g. ``"OOMKilled"`` or ``"Evicted"``.
    message : str
        The same as a sentence without its subject.
    exit_code : int or None
        ``None`` if no container has ended.
    at : str
        When, as Kubernetes writes it; empty if it has not said.
    line : str
        The last line that it wrote, as far as that is known.
    is_of_pod : bool
        Whether it is the end of the Pod as a whole.
    """

    pod: str
    node: str
    reason: str
    message: str
    exit_code: int | None = None
    at: str = ""
    line: str = ""
    is_of_pod: bool = False

    @property
    def is_trouble(self) -> bool:
        """Whether it is worth a warning."""
        return self.reason not in _UNREMARKABLE

    def __str__(self) -> str:
        node = f" on node {self.node}" if self.node else ""
        line = f". Its last line: {self.line}" if self.line and self.line not in self.message else ""
        return f"Pod {self.pod}{node}: {self.reason}: {self.message.rstrip('. ')}{line}"


def find_end(pod: Manifest, container: str) -> End | None:
    """Say how a container of a Pod last ended, if it ever did.

    Parameters
    ----------
    pod : dict
        The Pod as it was last seen.
    container : str
        Name of the container.

    Returns
    -------
    End or None
        What happened to the Pod as a whole goes before what happened to its container.
    """
    status = _status_of(pod, container)
    now = (status.get("state") or {}).get("terminated")
    ended: Manifest = now or (status.get("lastState") or {}).get("terminated") or {}
    whole = _of_pod(pod, now)
    if whole is None and not ended:
        return None
    reason, message = whole or (ended.get("reason") or "Error", describe_end(pod, container, ended))
    return End(
        pod=pod["metadata"]["name"],
        node=pod["spec"].get("nodeName") or "",
        reason=reason,
        message=message,
        exit_code=ended.get("exitCode"),
        at=ended.get("finishedAt") or "",
        line="" if ended.get("reason") == _UNKNOWN else last_line(ended.get("message") or ""),
        is_of_pod=whole is not None,
    )


def blame(end: End, about: Sequence[Manifest]) -> End:
    """Return an end with its reason as events give it, where they know that somebody took the Pod away.

    A worker that is evicted may end well by itself, and its Pod be gone before its status says anything else.

    Parameters
    ----------
    end : End
    about : sequence of dict
        Events about this very Pod, the latest last.
    """
    for event in reversed(about):
        if event.get("reason") in _TAKEN_AWAY:
            message = str(event.get("message") or event.get("note") or "")
            return replace(end, reason=event["reason"], message=message, is_of_pod=True)
    return end


def is_running(pod: Manifest, container: str) -> bool:
    """Say whether a container runs now."""
    return bool((_status_of(pod, container).get("state") or {}).get("running"))


def _status_of(pod: Manifest, container: str) -> Manifest:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((status for status in statuses if status["name"] == container), {})


def _of_pod(pod: Manifest, ended: Manifest | None) -> tuple[str, str] | None:
    """Say what happened to the Pod as a whole: evicted, preempted, refused by its node, deleted."""
    status = pod.get("status") or {}
    disrupted = find(status.get("conditions"), "DisruptionTarget") or {}
    # A kubelet that evicts gives a better word than the condition does.
    if status.get("phase") == "Failed" and status.get("reason"):
        return status["reason"], status.get("message") or "its node has ended it"
    if disrupted.get("status") == "True":
        return disrupted.get("reason") or "Disrupted", disrupted.get("message") or "it was evicted"
    deleted = _deleted_at(pod)
    if deleted is None or (ended and ended.get("finishedAt") and parse_time(ended["finishedAt"]) <= deleted):
        return None
    return DELETED, "somebody has deleted it"


def _deleted_at(pod: Manifest) -> datetime | None:
    """Return when somebody asked for the Pod's deletion."""
    metadata = pod["metadata"]
    if not metadata.get("deletionTimestamp"):
        return None
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return parse_time(metadata["deletionTimestamp"]) - grace
