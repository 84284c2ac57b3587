"""The status of a Pod as the API shows it: a pure function of its manifest, the facts and the time."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.machinery.pod_rules import qos_class
from dask_gpu_k8s.local.node.facts import (
    ContainerFacts,
    Ended,
    PodFacts,
    full_name,
    init_containers,
    main_containers,
)
from dask_gpu_k8s.local.node.lifecycle import backing_off, init_failure, is_over, next_init

CREATING = {"reason": "ContainerCreating"}
INITIALIZING = {"reason": "PodInitializing"}


def timestamp(moment: datetime) -> str:
    """Write a moment as the API does: RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_status(pod: Manifest, facts: PodFacts, now: datetime) -> Manifest:
    """Compute ``status`` of a Pod that is bound to this node.

    Parameters
    ----------
    pod : Manifest
        As the API has it; conditions that others wrote are kept.
    facts : PodFacts
        What the node knows.
    now : datetime
        The time, with a time zone.
    """
    status: Manifest = {
        "phase": phase(pod, facts),
        "conditions": _conditions(pod, facts, now),
        "hostIP": facts.host,
        "hostIPs": [{"ip": facts.host}],
        "podIP": facts.address,
        "podIPs": [{"ip": facts.address}],
        "startTime": timestamp(facts.since),
        "qosClass": qos_class(pod["spec"]),
        **_why_over(pod, facts),
    }
    if init_containers(pod):
        status["initContainerStatuses"] = [
            container_status(pod, facts, container, now) for container in init_containers(pod)
        ]
    status["containerStatuses"] = [
        container_status(pod, facts, container, now) for container in main_containers(pod)
    ]
    return status


def _why_over(pod: Manifest, facts: PodFacts) -> Manifest:
    if facts.expired:
        message = "Pod was active on the node longer than the specified deadline"
        return {"reason": "DeadlineExceeded", "message": message}
    return {}


def phase(pod: Manifest, facts: PodFacts) -> str:
    """``Pending``, ``Running``, ``Succeeded`` or ``Failed``."""
    mains = [facts.of(container["name"]) for container in main_containers(pod)]
    if is_over(pod, facts):
        if facts.expired or init_failure(pod, facts):
            return "Failed"
        return "Succeeded" if all(c.ended and c.ended.exit_code == 0 for c in mains) else "Failed"
    if pod["metadata"].get("deletionTimestamp") and _all_ended(mains):
        return "Succeeded" if all(c.ended and c.ended.exit_code == 0 for c in mains) else "Failed"
    if next_init(pod, facts) or not all(container.ever_started for container in mains):
        return "Pending"
    return "Running"


def _all_ended(containers: list[ContainerFacts]) -> bool:
    return all(known.running is None and known.ended is not None for known in containers)


def container_status(pod: Manifest, facts: PodFacts, container: dict[str, Any], now: datetime) -> Manifest:
    """Compute one entry of ``containerStatuses``."""
    known = facts.of(container["name"])
    status: Manifest = {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": _is_ready(pod, known, container),
        "started": known.running is not None and known.started,
        "restartCount": known.restarts,
        "state": _state(pod, facts, container, now),
        "lastState": _last_state(known, shown="waiting" not in _state(pod, facts, container, now)),
    }
    run = known.running or known.ended
    if run:
        status["containerID"] = f"process://{run.id}"
    return status


def _is_ready(pod: Manifest, known: ContainerFacts, container: dict[str, Any]) -> bool:
    if any(initial is container for initial in init_containers(pod)):
        return known.running is None and known.ended is not None and known.ended.exit_code == 0
    return known.running is not None and known.ready


def _state(pod: Manifest, facts: PodFacts, container: dict[str, Any], now: datetime) -> Manifest:
    name = container["name"]
    known = facts.of(name)
    if known.running:
        return {"running": {"startedAt": timestamp(known.running.started)}}
    if known.problem:
        return {"waiting": {"reason": known.problem.reason, "message": known.problem.message}}
    if backing_off(pod, facts, name, now):
        seconds = _duration(int(known.wait.total_seconds()))
        message = f"back-off {seconds} restarting failed container={name} pod={full_name(pod)}"
        return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    if known.ended:
        return {"terminated": _terminated(known.ended)}
    main = all(initial is not container for initial in init_containers(pod))
    if init_containers(pod) and (main or next_init(pod, facts) is not container):
        return {"waiting": dict(INITIALIZING)}
    return {"waiting": dict(CREATING)}


def _last_state(known: ContainerFacts, *, shown: bool) -> Manifest:
    """Return the end before the one that ``state`` shows, if any."""
    last = known.before if shown and known.running is None else known.ended
    return {"terminated": _terminated(last)} if last else {}


def _duration(seconds: int) -> str:
    """Write seconds as Go does: ``10s``, ``1m20s``, ``5m0s``."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"


def _terminated(ended: Ended) -> Manifest:
    state: Manifest = {
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": timestamp(ended.started) if ended.started else None,
        "finishedAt": timestamp(ended.finished),
        "containerID": f"process://{ended.id}",
    }
    if ended.signal:
        state["signal"] = ended.signal
    if ended.message:
        state["message"] = ended.message
    return state


def _conditions(pod: Manifest, facts: PodFacts, now: datetime) -> list[Manifest]:
    old = (pod.get("status") or {}).get("conditions") or []
    initialized = _initialized(pod, facts)
    containers = _containers_ready(pod, facts)
    own = {
        "PodReadyToStartContainers": ("True", "", ""),
        "Initialized": initialized,
        "Ready": _ready(pod, containers, old),
        "ContainersReady": containers,
        "PodScheduled": ("True", "", ""),
    }
    known = {condition["type"]: condition for condition in old}
    made = [_condition(known.get(kind), kind, *value, now) for kind, value in own.items()]
    return made + [condition for condition in old if condition["type"] not in own]


def _condition(
    old: Manifest | None, kind: str, status: str, reason: str, message: str, now: datetime
) -> Manifest:
    same = old is not None and old.get("status") == status
    since = old.get("lastTransitionTime") if old and same else None
    condition: Manifest = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": since or timestamp(now),
    }
    if reason:
        condition |= {"reason": reason, "message": message}
    return condition


def _initialized(pod: Manifest, facts: PodFacts) -> tuple[str, str, str]:
    waiting = next_init(pod, facts)
    if waiting is None:
        if phase(pod, facts) == "Succeeded":
            return "True", "PodCompleted", ""
        return "True", "", ""
    names = [container["name"] for container in init_containers(pod)]
    incomplete = " ".join(names[names.index(waiting["name"]) :])
    return "False", "ContainersNotInitialized", f"containers with incomplete status: [{incomplete}]"


def _containers_ready(pod: Manifest, facts: PodFacts) -> tuple[str, str, str]:
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase(pod, facts))
    if ended:
        return "False", ended, ""
    unready = [c["name"] for c in main_containers(pod) if not _is_ready(pod, facts.of(c["name"]), c)]
    if unready:
        return "False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return "True", "", ""


def _ready(pod: Manifest, containers: tuple[str, str, str], old: list[Manifest]) -> tuple[str, str, str]:
    if containers[0] != "True":
        return containers
    true = {condition["type"] for condition in old if condition.get("status") == "True"}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    missing = [gate for gate in gates if gate not in true]
    if missing:
        message = "; ".join(f'the status of pod readiness gate "{gate}" is not "True"' for gate in missing)
        return "False", "ReadinessGatesNotReady", message
    return "True", "", ""
