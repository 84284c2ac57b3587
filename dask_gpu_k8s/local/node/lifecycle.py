"""What is to be done with a Pod now: a pure function of its manifest, the facts and the time.

The order of things follows the kubelet: init containers one by one, then all others; restarts by policy and
back-off; a Pod that is deleted or over its deadline loses its containers and starts none. A `Stop` may be
decided again with less time; whoever carries it out keeps the earlier end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import (
    Ended,
    PodFacts,
    all_containers,
    init_containers,
    main_containers,
    restart_policy,
)


@dataclass(frozen=True)
class Start:
    """Begin a run of a container."""

    container: str


@dataclass(frozen=True)
class Stop:
    """End a container's run: preStop, SIGTERM, and SIGKILL when `grace` seconds are over."""

    container: str
    grace: float
    why: str


@dataclass(frozen=True)
class Expire:
    """Note that the Pod is over its ``activeDeadlineSeconds``."""


@dataclass(frozen=True)
class Remove:
    """Nothing of the Pod runs any more and it was deleted: take it out of the API."""


Action: TypeAlias = Start | Stop | Expire | Remove


@dataclass(frozen=True)
class Decision:
    """Actions to take now, and when to decide again if nothing happens before."""

    actions: tuple[Action, ...]
    wake: datetime | None = None


def decide(pod: Manifest, facts: PodFacts, now: datetime) -> Decision:
    """Decide what is to be done with a Pod.

    Parameters
    ----------
    pod : Manifest
        As the API has it.
    facts : PodFacts
        What the node knows.
    now : datetime
        The time, with a time zone.
    """
    if pod["metadata"].get("deletionTimestamp"):
        return _wind_down(pod, facts)
    if facts.expired:
        return Decision(tuple(_stop_all(pod, facts, grace_seconds(pod), "Stopping container")))
    deadline = _deadline(pod, facts)
    if deadline and now >= deadline and not is_over(pod, facts):
        return Decision((Expire(),))
    actions = tuple(_stop_unhealthy(pod, facts))
    starts, wakes = _starts(pod, facts, now)
    if deadline and not is_over(pod, facts):
        wakes.append(deadline)
    return Decision(actions + tuple(starts), min(wakes, default=None))


def grace_seconds(pod: Manifest) -> float:
    """Seconds that a Pod's containers get to end: as asked at deletion, else as its specification says."""
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    if asked is None:
        asked = pod["spec"].get("terminationGracePeriodSeconds")
    return 30.0 if asked is None else float(asked)


def may_restart(policy: str, ended: Ended) -> bool:
    """Whether a container that ended so is started again."""
    return policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0)


def is_over(pod: Manifest, facts: PodFacts) -> bool:
    """Whether the Pod has ended for good: no container runs or will run again."""
    if any(facts.of(c["name"]).running for c in all_containers(pod)):
        return False
    if facts.expired:
        return True
    if init_failure(pod, facts):
        return True
    policy = restart_policy(pod)
    ends = [facts.of(c["name"]).ended for c in main_containers(pod)]
    return all(end is not None and not may_restart(policy, end) for end in ends)


def init_failure(pod: Manifest, facts: PodFacts) -> str | None:
    """Name of the init container whose failure ended the Pod, if one did."""
    if restart_policy(pod) != "Never":
        return None
    for container in init_containers(pod):
        known = facts.of(container["name"])
        if known.running is None and known.ended and known.ended.exit_code != 0:
            return str(container["name"])
    return None


def next_init(pod: Manifest, facts: PodFacts) -> dict[str, Any] | None:
    """Return the init container that has yet to complete; None when all have."""
    for container in init_containers(pod):
        known = facts.of(container["name"])
        if known.running or known.ended is None or known.ended.exit_code != 0:
            return container
    return None


def backing_off(pod: Manifest, facts: PodFacts, container: str, now: datetime) -> bool:
    """Whether a container waits for its back-off to pass."""
    known = facts.of(container)
    if known.running or known.ended is None or known.next_start is None:
        return False
    return _will_run_again(pod, facts, container) and now < known.next_start


def _will_run_again(pod: Manifest, facts: PodFacts, container: str) -> bool:
    known = facts.of(container)
    if known.ended is None or facts.expired or pod["metadata"].get("deletionTimestamp"):
        return False
    if any(c["name"] == container for c in init_containers(pod)):
        return known.ended.exit_code != 0 and restart_policy(pod) != "Never"
    return may_restart(restart_policy(pod), known.ended)


def _starts(pod: Manifest, facts: PodFacts, now: datetime) -> tuple[list[Action], list[datetime]]:
    """Which containers to start now, and when others become due."""
    initial = next_init(pod, facts)
    candidates = [initial] if initial else main_containers(pod)
    actions: list[Action] = []
    wakes: list[datetime] = []
    for container in candidates:
        name = container["name"]
        known = facts.of(name)
        if known.running or known.problem:
            continue
        if known.ended is None:
            actions.append(Start(name))
        elif _will_run_again(pod, facts, name):
            due = known.next_start or now
            if due <= now:
                actions.append(Start(name))
            else:
                wakes.append(due)
    return actions, wakes


def _stop_unhealthy(pod: Manifest, facts: PodFacts) -> Iterator[Stop]:
    for container in all_containers(pod):
        known = facts.of(container["name"])
        if known.running and known.unhealthy and not known.stopping:
            yield Stop(container["name"], _probe_grace(pod, container), known.unhealthy)


def _probe_grace(pod: Manifest, container: dict[str, Any]) -> float:
    for kind in ("livenessProbe", "startupProbe"):
        seconds = (container.get(kind) or {}).get("terminationGracePeriodSeconds")
        if seconds is not None:
            return float(seconds)
    return grace_seconds(pod)


def _stop_all(pod: Manifest, facts: PodFacts, grace: float, why: str) -> Iterator[Stop]:
    for container in all_containers(pod):
        known = facts.of(container["name"])
        if known.running:
            yield Stop(container["name"], grace, f"{why} {container['name']}")


def _wind_down(pod: Manifest, facts: PodFacts) -> Decision:
    if any(facts.of(c["name"]).running for c in all_containers(pod)):
        return Decision(tuple(_stop_all(pod, facts, grace_seconds(pod), "Stopping container")))
    return Decision((Remove(),))


def _deadline(pod: Manifest, facts: PodFacts) -> datetime | None:
    seconds = pod["spec"].get("activeDeadlineSeconds")
    return None if seconds is None else facts.since + timedelta(seconds=float(seconds))
