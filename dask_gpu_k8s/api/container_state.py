"""Why one container is not ready, from its status and its Pod's events."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dask_gpu_k8s.api.types import Manifest


@dataclass(frozen=True)
class Explanation:
    """Why something is not ready.

    Attributes
    ----------
    state : str
        ``"ready"``; ``"progressing"``: it is on its way; ``"failing"``: it stays as it is unless something
        about it or around it changes.
    reason : str
        One word, Kubernetes' own where it has one, e.g. ``"ImagePullBackOff"``.
    message : str
        A sentence without its subject, e.g. ``"fits on no node: 0/1 nodes are available: …"``.
    container : str
        The container that it is about, whose log may say more; empty if it is about none.
    """

    state: Literal["ready", "progressing", "failing"]
    reason: str
    message: str
    container: str = ""


_STARTING = ("ContainerCreating", "PodInitializing")
_IMAGE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "ImageInspectError",
    "InvalidImageName",
    "RegistryUnavailable",
)
_CANNOT_RUN = ("StartError", "ContainerCannotRun")
"""A container's end before it began: there is no such program in its image, or it may not be run."""

_LONGEST_LINE = 300


def explain_container(pod: Manifest, status: Manifest, events: Sequence[Manifest] = ()) -> Explanation | None:
    """Say why a container is not ready.

    Parameters
    ----------
    pod : dict
        Its Pod.
    status : dict
        Its entry in the Pod's ``status.containerStatuses`` or ``initContainerStatuses``.
    events : sequence of dict
        Events about the Pod, the latest last.

    Returns
    -------
    Explanation or None
        ``None`` if the container is as it should be.
    """
    state = status.get("state") or {}
    if "waiting" in state:
        return _explain_waiting(pod, status, state["waiting"] or {}, events)
    if "terminated" in state:
        return _explain_terminated(pod, status, state["terminated"])
    if status.get("ready") or "running" not in state:
        return None
    return _explain_running(pod, status, events)


def _explain_waiting(
    pod: Manifest, status: Manifest, waiting: Manifest, events: Sequence[Manifest]
) -> Explanation:
    name = status["name"]
    reason = waiting.get("reason") or "Waiting"
    if reason in _STARTING:
        return _explain_starting(status, reason, events)
    if reason == "CrashLoopBackOff":
        return _explain_crash_loop(pod, status)
    message = waiting.get("message") or reason
    if reason in _IMAGE:
        return Explanation("failing", reason, _image_problem(status, message, events), name)
    return Explanation("failing", reason, f"container {name} cannot be started: {message}", name)


def _explain_starting(status: Manifest, reason: str, events: Sequence[Manifest]) -> Explanation:
    latest = next((event for event in reversed(events) if event.get("reason") in ("Pulling", "Pulled")), {})
    if latest.get("reason") == "Pulling":
        text = f"the image of container {status['name']} is being pulled: {status.get('image', '')}"
        return Explanation("progressing", "Pulling", text.rstrip(": "), status["name"])
    return Explanation("progressing", reason, f"container {status['name']} is being started", status["name"])


def _image_problem(status: Manifest, message: str, events: Sequence[Manifest]) -> str:
    """Say what is wrong with the image; while backing off, only an event knows."""
    about = [str(event.get("message", "")) for event in events if event.get("reason") == "Failed"]
    detail = next((text for text in reversed(about) if text.startswith("Failed to pull")), "")
    image = status.get("image") or "?"
    return f"the image of container {status['name']} cannot be had ({image}): {detail or message}"


def _explain_crash_loop(pod: Manifest, status: Manifest) -> Explanation:
    name = status["name"]
    ended = (status.get("lastState") or {}).get("terminated") or {}
    times = status.get("restartCount", 0)
    if ended.get("reason") == "OOMKilled":
        text = f"{describe_end(pod, name, ended)}; it was started again {times} times"
        return Explanation("failing", "OOMKilled", text, name)
    if ended.get("reason") in _CANNOT_RUN:
        return Explanation("failing", ended["reason"], describe_end(pod, name, ended), name)
    text = f"container {name} ends again and again ({times} restarts), last with {_exit(ended)}"
    return Explanation("failing", "CrashLoopBackOff", text, name)


def _explain_terminated(pod: Manifest, status: Manifest, ended: Manifest) -> Explanation | None:
    name = status["name"]
    if ended.get("reason") != "OOMKilled" and ended.get("exitCode", 0) == 0:
        return None if _is_init(pod, name) else _ended_well(pod, name)
    return Explanation("failing", ended.get("reason") or "Error", describe_end(pod, name, ended), name)


def describe_end(pod: Manifest, name: str, ended: Manifest) -> str:
    """Say how a container of a Pod ended.

    Parameters
    ----------
    pod : dict
        The Pod.
    name : str
        Name of the container.
    ended : dict
        Its ``terminated`` state.
    """
    if ended.get("reason") == "OOMKilled":
        return _out_of_memory(pod, name)
    if ended.get("reason") in _CANNOT_RUN:
        return f"container {name} cannot be started: {ended.get('message') or ended['reason']}"
    return f"container {name} has ended with {_exit(ended)}"


def _is_init(pod: Manifest, name: str) -> bool:
    return any(item["name"] == name for item in pod.get("spec", {}).get("initContainers", ()))


def _ended_well(pod: Manifest, name: str) -> Explanation:
    again = pod.get("spec", {}).get("restartPolicy", "Always") == "Always"
    text = f"container {name} has ended without an error" + (" and will be started again" if again else "")
    return Explanation("progressing" if again else "failing", "Completed", text, name)


def _explain_running(pod: Manifest, status: Manifest, events: Sequence[Manifest]) -> Explanation | None:
    name = status["name"]
    if _is_init(pod, name):
        return Explanation("progressing", "PodInitializing", f"init container {name} is at work", name)
    probe = next((event for event in reversed(events) if event.get("reason") == "Unhealthy"), None)
    ended = (status.get("lastState") or {}).get("terminated") or {}
    again = status.get("restartCount", 0) > 0
    if ended.get("reason") == "OOMKilled":
        return Explanation(
            "failing", "OOMKilled", f"{_out_of_memory(pod, name)}, and was started again", name
        )
    if probe is not None:
        # A probe that fails at first is how a program starts; one that got the container killed is not.
        text = f"container {name} does not answer its probe: {probe.get('message', '')}"
        return Explanation("failing" if again else "progressing", "Unhealthy", text, name)
    text = f"container {name} runs but is not ready yet"
    if again and ended:
        text += f"; it was started again after {_exit(ended)}"
    return Explanation("progressing", "ContainersNotReady", text, name)


def _exit(ended: Manifest) -> str:
    """Say how a container ended: its exit code, the signal if it was one, and its last line."""
    code = ended.get("exitCode")
    text = f"exit code {code}" if code is not None else "an unknown exit code"
    if isinstance(code, int) and code > 128:
        try:
            text += f" ({signal.Signals(code - 128).name})"
        except ValueError:
            pass
    words = last_line(str(ended.get("message") or ""))
    return f"{text}: {words}" if words else text


def last_line(text: str) -> str:
    """Return the last line of a text that says anything; of a long one, its beginning."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    line = lines[-1] if lines else ""
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _out_of_memory(pod: Manifest, name: str) -> str:
    limit = _memory_limit(pod, name)
    allowed = f"its limit of {limit}" if limit is not None else "its node could give"
    return f"container {name} was killed because it needed more memory than {allowed}"


def _memory_limit(pod: Manifest, name: str) -> Any:
    spec = pod.get("spec", {})
    for container in [*spec.get("initContainers", ()), *spec.get("containers", ())]:
        if container.get("name") == name:
            return ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return None
