"""What a planner may know: keys, the cache, and the answers of a Dask scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.demand import Demand


@dataclass(frozen=True, order=True)
class Key:
    """Which resource to look at. It says nothing about why: a controller decides by what is there."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class SchedulerAt:
    """Where a cluster's scheduler can be reached.

    Attributes
    ----------
    namespace, cluster : str
    pod, uid : str
        Name and uid of the scheduler's Pod.
    pod_ip : str
        Its address; empty before it has one.
    port : int
        The port that the scheduler process listens on.
    service_port : int
        The port of the Service in front of it.
    secret : str
        Name of the Secret with the certificates that it wants to see; empty if it does not speak TLS.
    """

    namespace: str
    cluster: str
    pod: str
    uid: str
    pod_ip: str
    port: int
    service_port: int
    secret: str = ""


@dataclass(frozen=True)
class WorkerFacts:
    """What a scheduler says of one worker process.

    Attributes
    ----------
    name : str
    host : str
        Address of the machine or Pod that it runs on.
    nbytes : int
        Bytes of results that it held at its last heartbeat, in memory or spilled.
    tasks : int
        Tasks that it ran or had been given to run then.
    running : bool
        Whether it takes tasks and data: neither paused nor on its way out.
    executing : int
        Tasks that it ran at its last heartbeat.
    last_seen : float
        When that was, by the scheduler's clock.
    """

    name: str
    host: str
    nbytes: int
    tasks: int
    running: bool
    executing: int = 0
    last_seen: float = 0.0


@dataclass(frozen=True)
class NodeFacts:
    """What is known of a node.

    Attributes
    ----------
    ready : bool
        Whether its kubelet is heard of and well.
    since : datetime, optional
        Since when; ``None`` if there is no such node any more.
    """

    ready: bool
    since: datetime | None


class SchedulerUnreachable(Exception):
    """A Dask scheduler did not answer in time, or answered what nobody understands."""


class Cache(Protocol):
    """The operator's copy of what the API server holds; what it returns is never changed."""

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return one object."""

    def owned(self, resource: Resource, namespace: str, uid: str) -> Sequence[Manifest]:
        """Return the objects in a namespace that name `uid` as an owner."""

    def workers_of(self, namespace: str, cluster: str) -> Sequence[Manifest]:
        """Return the worker Pods of all groups of a cluster."""

    def groups_of(self, namespace: str, cluster: str) -> Sequence[Manifest]:
        """Return the DaskWorkerGroups that name a cluster, whether it exists or not."""

    def autoscalers_of(self, namespace: str, cluster: str) -> Sequence[Manifest]:
        """Return the DaskAutoscalers that name a cluster, whether it exists or not."""


class Wishes(Protocol):
    """What autoscalers wished lately; see `engine.wishes`."""

    def note(self, key: Key, wish: int, current: int, keep: float) -> None:
        """Note a wish."""

    def lowest(self, key: Key, seconds: float) -> int:
        """Return the lowest wish of the last seconds."""

    def highest(self, key: Key, seconds: float) -> int:
        """Return the highest wish of the last seconds."""

    def forget(self, key: Key) -> None:
        """Forget an autoscaler that is gone."""


@dataclass(frozen=True)
class GroupPods:
    """The Pods of a worker group.

    Attributes
    ----------
    pods : sequence of Manifest
    settled : bool
        ``False`` while the cache has not yet shown our own last changes: then nothing is planned.
    """

    pods: Sequence[Manifest]
    settled: bool


class World(Protocol):
    """All that an `observe` function is handed to ask."""

    @property
    def cache(self) -> Cache:
        """The operator's copy of what the API server holds."""

    @property
    def home(self) -> str:
        """The operator's own namespace; empty if it runs outside of Kubernetes."""

    @property
    def wishes(self) -> Wishes:
        """What autoscalers wished lately."""

    def cooling(self, key: Key, resource: Manifest) -> float:
        """Return for how many more seconds nothing refused is asked again for this generation; else 0."""

    def now(self) -> datetime:
        """Return the time of day in UTC, as the API server's own stamps are."""

    def node(self, name: str) -> NodeFacts | None:
        """Return what is known of a node; ``None`` if nodes may not be read."""

    async def group_pods(self, key: Key, group: Manifest) -> GroupPods:
        """Return the worker Pods of a group."""

    @property
    def adopts(self) -> bool:
        """Whether every cluster of dask-kubernetes' operator is to be taken over."""

    def is_beside_another(self) -> bool:
        """Say whether dask-kubernetes' operator has been seen to look after anything."""

    async def live_list(
        self, resource: Resource, namespace: str, labels: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """Return objects as the API server has them now."""

    async def live(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as the API server has it now, for what is not followed or must be certain."""

    async def idle_since(self, scheduler: SchedulerAt, *, clients: bool, data: bool) -> float | None:
        """Ask a scheduler since when it is idle; see `SchedulerApi.idle_since`.

        Raises
        ------
        SchedulerUnreachable
        """

    async def workers(self, scheduler: SchedulerAt) -> Mapping[str, WorkerFacts]:
        """Ask a scheduler for its workers, by address.

        Raises
        ------
        SchedulerUnreachable
        """

    async def demand(self, scheduler: SchedulerAt) -> Demand:
        """Ask a scheduler how much work it has, and for whom.

        Raises
        ------
        SchedulerUnreachable
        """
