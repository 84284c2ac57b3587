"""How kubectl prints Pods: above all the one word under STATUS."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.conditions import holds
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.machinery.kinds import Column, Printer
from dask_gpu_k8s.local.printing.ages import age
from dask_gpu_k8s.local.printing.table import AGE, NAME


def _cells(pod: Manifest, now: datetime) -> list[Any]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    containers = status.get("containerStatuses") or []
    ready = sum(1 for entry in containers if entry.get("ready") and "running" in entry.get("state", {}))
    gates = spec.get("readinessGates") or []
    return [
        pod["metadata"]["name"],
        f"{ready}/{len(spec.get('containers') or ())}",
        status_word(pod),
        _restarts(status, now),
        age(pod["metadata"].get("creationTimestamp"), now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        f"{_passed(gates, status)}/{len(gates)}" if gates else "<none>",
    ]


def _passed(gates: list[Manifest], status: Manifest) -> int:
    true = {entry["type"] for entry in status.get("conditions") or () if entry["status"] == "True"}
    return sum(1 for gate in gates if gate["conditionType"] in true)


def _restarts(status: Manifest, now: datetime) -> str:
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    count = sum(entry.get("restartCount", 0) for entry in every)
    ended = [
        entry["lastState"]["terminated"]["finishedAt"]
        for entry in every
        if entry.get("lastState", {}).get("terminated", {}).get("finishedAt")
    ]
    return f"{count} ({age(max(ended), now)} ago)" if count and ended else str(count)


def status_word(pod: Manifest) -> str:
    """Say in one word how a Pod is doing."""
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    word = status.get("reason") or status.get("phase") or "Unknown"
    if word == "Pending" and _has_gates(status):
        word = "SchedulingGated"
    init = _init_word(pod)
    return init or _containers_word(status, word)


def _has_gates(status: Manifest) -> bool:
    return any(
        entry["type"] == "PodScheduled" and entry.get("reason") == "SchedulingGated"
        for entry in status.get("conditions") or ()
    )


def _init_word(pod: Manifest) -> str | None:
    """Say which init container holds the Pod up, or None."""
    wanted = {entry["name"]: entry for entry in pod.get("spec", {}).get("initContainers") or ()}
    for done, entry in enumerate(pod.get("status", {}).get("initContainerStatuses") or ()):
        state = entry.get("state", {})
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode") == 0:
            continue
        sidecar = wanted.get(entry["name"], {}).get("restartPolicy") == "Always"
        if sidecar and entry.get("started"):
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}"
        if waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{done}/{len(wanted)}"
    return None


def _containers_word(status: Manifest, word: str) -> str:
    running = False
    for entry in reversed(status.get("containerStatuses") or ()):
        state = entry.get("state", {})
        if state.get("waiting", {}).get("reason"):
            word = state["waiting"]["reason"]
        elif "terminated" in state:
            word = _ended(state["terminated"])
        elif entry.get("ready") and "running" in state:
            running = True
    if word == "Completed" and running:
        ready = holds(status.get("conditions"), "Ready")
        return "Running" if ready else "NotReady"
    return word


def _ended(terminated: Manifest) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode')}"


PODS = Printer(
    (
        NAME,
        *(Column(name) for name in ("Ready", "Status", "Restarts")),
        AGE,
        *(Column(name, priority=1) for name in ("IP", "Node", "Nominated Node", "Readiness Gates")),
    ),
    _cells,
)
