"""What the node knows about a Pod beside its manifest: values that are replaced, never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from dask_gpu_k8s.api.types import Manifest

FIRST_BACKOFF = timedelta(seconds=10)
LONGEST_BACKOFF = timedelta(minutes=5)
BACKOFF_RESET = timedelta(minutes=10)
"""A container that ran this long since its last restart is restarted at once again."""


@dataclass(frozen=True)
class Problem:
    """Why something does not go on: a word for machines and a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class Run:
    """A run of a container that goes on."""

    id: str
    started: datetime


@dataclass(frozen=True)
class Ended:
    """A run of a container that has ended."""

    id: str
    started: datetime | None
    finished: datetime
    exit_code: int
    reason: str
    message: str = ""
    signal: int = 0


@dataclass(frozen=True)
class ContainerFacts:
    """What is known of one container.

    Attributes
    ----------
    running : Run or None
        The run that goes on.
    ended, before : Ended or None
        The last run that ended, and the one before it.
    restarts : int
        How many runs were started after the first.
    problem : Problem or None
        Why it could not be created; it is tried again when something it may have missed changes.
    started : bool
        Whether the startup probe (if any) has passed in this run.
    ready : bool
        Whether the readiness probe (if any) passes.
    stopping : bool
        Whether this run is being ended.
    unhealthy : str
        Why this run has to end: what the liveness or startup probe said.
    delay : timedelta
        How long to wait after an end before the next start.
    restarted : datetime or None
        When it was last restarted.
    """

    running: Run | None = None
    ended: Ended | None = None
    before: Ended | None = None
    restarts: int = 0
    problem: Problem | None = None
    started: bool = False
    ready: bool = False
    stopping: bool = False
    unhealthy: str = ""
    delay: timedelta = timedelta(0)
    restarted: datetime | None = None

    @property
    def ever_started(self) -> bool:
        """Whether any run has begun."""
        return self.running is not None or self.ended is not None

    def start(self, run: Run, *, started: bool, ready: bool) -> ContainerFacts:
        """Note that a run has begun; each restart lengthens the wait before the next one."""
        again = self.begin(run.started)
        return replace(again, running=run, started=started, ready=ready)

    def begin(self, now: datetime) -> ContainerFacts:
        """Note that a run is being begun, whether or not it comes to life."""
        fresh = replace(self, problem=None, started=False, ready=False, stopping=False, unhealthy="")
        if self.ended is None:
            return fresh
        delay = min(self.wait * 2, LONGEST_BACKOFF) if self.wait else FIRST_BACKOFF
        return replace(fresh, restarts=self.restarts + 1, delay=delay, restarted=now)

    def end(self, ended: Ended) -> ContainerFacts:
        """Note that the run has ended."""
        return replace(self, running=None, ended=ended, before=self.ended, ready=False, stopping=False)

    @property
    def wait(self) -> timedelta:
        """Back-off after the last end: none for the first, then 10 s doubling up to 5 minutes."""
        if self.ended is None or self.restarted is None:
            return timedelta(0)
        if self.ended.finished - self.restarted > BACKOFF_RESET:
            return timedelta(0)
        return self.delay

    @property
    def next_start(self) -> datetime | None:
        """When the back-off is over."""
        return self.ended.finished + self.wait if self.ended else None


NEW = ContainerFacts()


@dataclass(frozen=True)
class PodFacts:
    """What is known of a Pod.

    Attributes
    ----------
    address : str
        Its own address.
    host : str
        The node's address.
    since : datetime
        When the node took it.
    containers : mapping
        By name, init containers included.
    expired : bool
        Whether it outlived ``activeDeadlineSeconds``.
    """

    address: str
    host: str
    since: datetime
    containers: Mapping[str, ContainerFacts] = field(default_factory=dict)
    expired: bool = False

    def of(self, name: str) -> ContainerFacts:
        """Return what is known of a container; of a new one, nothing."""
        return self.containers.get(name, NEW)

    def with_container(self, name: str, container: ContainerFacts) -> PodFacts:
        """Return these facts with one container's replaced."""
        return replace(self, containers={**self.containers, name: container})


def init_containers(pod: Manifest) -> list[dict[str, Any]]:
    """Containers that run one after the other before the others."""
    return pod["spec"].get("initContainers") or []


def main_containers(pod: Manifest) -> list[dict[str, Any]]:
    """Containers that run side by side."""
    return pod["spec"].get("containers") or []


def all_containers(pod: Manifest) -> Iterator[dict[str, Any]]:
    """Every container of a Pod, in the order in which they start."""
    yield from init_containers(pod)
    yield from main_containers(pod)


def restart_policy(pod: Manifest) -> str:
    """Return ``Always``, ``OnFailure`` or ``Never``."""
    return pod["spec"].get("restartPolicy") or "Always"


def full_name(pod: Manifest) -> str:
    """Name a Pod as the kubelet does in messages: ``name_namespace(uid)``."""
    meta = pod["metadata"]
    return f"{meta['name']}_{meta['namespace']}({meta['uid']})"
