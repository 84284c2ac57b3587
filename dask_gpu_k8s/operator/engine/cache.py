"""The operator's copy of what the API server holds, and what planners are handed to ask."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import chain

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKWORKERGROUP, POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import ALL_NAMESPACES, KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from dask_gpu_k8s.kube.store import Store
from dask_gpu_k8s.operator.engine.demand import Demand
from dask_gpu_k8s.operator.engine.expectations import Expectations
from dask_gpu_k8s.operator.engine.facts import GroupPods, Key, SchedulerAt, WorkerFacts
from dask_gpu_k8s.operator.engine.nodes import Nodes
from dask_gpu_k8s.operator.engine.refusals import Refusals
from dask_gpu_k8s.operator.engine.wishes import Wishes
from dask_gpu_k8s.operator.objects.workers import replicas_of
from dask_gpu_k8s.operator.schedulers.api import SchedulerApi
from dask_gpu_k8s.operator.upstream.marks import is_foreign


class StoreCache:
    """The stores of all reflectors as one.

    Parameters
    ----------
    stores : mapping
        Stores by kind and namespace; a kind that is watched everywhere has one, under `ALL_NAMESPACES`.
    """

    def __init__(self, stores: Mapping[tuple[Resource, str], Store]) -> None:
        self._stores = stores

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return one object."""
        store = self._store(resource, namespace)
        return store.get(namespace, name) if store else None

    def owned(self, resource: Resource, namespace: str, uid: str) -> Sequence[Manifest]:
        """Return the objects in a namespace that name `uid` as an owner."""
        store = self._store(resource, namespace)
        return store.by_owner(uid) if store else ()

    def pods_on(self, node: str) -> Iterator[Manifest]:
        """Go through our Pods of all namespaces that are on a node; so seldom that it needs no index."""
        for (resource, _), store in self._stores.items():
            if resource == POD:
                yield from (pod for pod in store if pod["spec"].get("nodeName") == node)

    def strays(self, key: Key, group: Manifest) -> list[Manifest]:
        """Return the worker Pods of a group that have lost their owner."""
        store = self._store(POD, key.namespace)
        pods = store.by_label(labels.WORKERGROUP_NAME, key.name, key.namespace) if store else []
        return [pod for pod in pods if _is_stray(pod, group)]

    def workers_of(self, namespace: str, cluster: str) -> Sequence[Manifest]:
        """Return the worker Pods of all groups of a cluster."""
        store = self._store(POD, namespace)
        pods = store.by_label(labels.CLUSTER_NAME, cluster, namespace) if store else []
        return [pod for pod in pods if pod["metadata"]["labels"].get(labels.COMPONENT) == labels.WORKER]

    def groups_of(self, namespace: str, cluster: str) -> list[Manifest]:
        """Return the DaskWorkerGroups that name a cluster, whether it exists or not."""
        return self._naming(DASKWORKERGROUP, namespace, cluster)

    def autoscalers_of(self, namespace: str, cluster: str) -> list[Manifest]:
        """Return the DaskAutoscalers that name a cluster, whether it exists or not."""
        return self._naming(DASKAUTOSCALER, namespace, cluster)

    def all(self, resource: Resource) -> Iterator[Manifest]:
        """Return the objects of a kind in all namespaces that are looked at."""
        return chain.from_iterable(store for at, store in self._stores.items() if at[0] == resource)

    def _naming(self, resource: Resource, namespace: str, cluster: str) -> list[Manifest]:
        store = self._store(resource, namespace)
        found = store.list(namespace) if store else []
        return [obj for obj in found if obj["spec"]["cluster"] == cluster]

    def _store(self, resource: Resource, namespace: str) -> Store | None:
        return self._stores.get((resource, ALL_NAMESPACES), self._stores.get((resource, namespace)))


class LiveWorld:
    """What `observe` functions are handed in the running operator.

    Parameters
    ----------
    cache : StoreCache
    kube : KubeClient
    schedulers : SchedulerApi
    expectations : Expectations
    refused : Refusals
    nodes : Nodes
    home : str, optional
        The operator's own namespace.
    adopts : bool, optional
        Whether every cluster of dask-kubernetes' operator is to be taken over.
    """

    def __init__(
        self,
        cache: StoreCache,
        kube: KubeClient,
        schedulers: SchedulerApi,
        expectations: Expectations,
        refused: Refusals,
        nodes: Nodes,
        home: str = "",
        adopts: bool = False,
    ) -> None:
        self.cache = cache
        self.wishes = Wishes(time.monotonic)
        self.home = home
        self.adopts = adopts
        self._kube = kube
        self._schedulers = schedulers
        self._expectations = expectations
        self._refused = refused
        self.node = nodes.get

    def cooling(self, key: Key, resource: Manifest) -> float:
        """Return for how many more seconds nothing refused is asked again."""
        return self._refused.remaining(key, resource)

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(timezone.utc)

    async def group_pods(self, key: Key, group: Manifest) -> GroupPods:
        """Return the worker Pods of a group; from the API server itself if the cache is overdue."""
        uid = group["metadata"]["uid"]
        if self._expectations.is_overdue(key, time.monotonic()):
            live = await self._list_pods(key)
            self._expectations.settle(key, live, time.monotonic())
            return GroupPods(_of_group(live, group), settled=True)
        settled = not self._expectations.is_open(key)
        pods = [*self.cache.owned(POD, key.namespace, uid), *self.cache.strays(key, group)]
        if settled and self._may_lack(key, group, len(pods)):
            live = _of_group(await self._list_pods(key), group)
            listed = {pod["metadata"]["uid"] for pod in live}
            # What is not listed is gone, or without the label it is selected by; the cache will show which.
            every = [*live, *(pod for pod in pods if pod["metadata"]["uid"] not in listed)]
            if len(every) <= len(pods):
                self._expectations.trust(key)
            pods = every
        return GroupPods(pods, settled=settled)

    def _may_lack(self, key: Key, group: Manifest, count: int) -> bool:
        """Say whether there may be Pods that the cache does not show, so that others would be made for them.

        One may be there without the label by which it is watched, or made by an operator before us.
        """
        status = group.get("status") or {}
        if self._expectations.has_vanished(key) or count < int(status.get("replicas") or 0):
            return True
        is_short = count < max(replicas_of(group), int(status.get("desiredReplicas") or 0))
        return is_short and bool(status.get("counter")) and not self._expectations.is_trusted(key)

    async def _list_pods(self, key: Key) -> list[Manifest]:
        answer = await self._kube.list(POD, key.namespace, labels={labels.WORKERGROUP_NAME: key.name})
        return list(answer["items"])

    def is_beside_another(self) -> bool:
        """Say whether dask-kubernetes' operator has been seen to look after anything."""
        return any(is_foreign(cluster) for cluster in self.cache.all(DASKCLUSTER))

    async def live_list(
        self, resource: Resource, namespace: str, labels: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """Return objects as the API server has them now."""
        items: list[Manifest] = (await self._kube.list(resource, namespace, labels=labels))["items"]
        return items

    async def live(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as the API server has it now."""
        try:
            return await self._kube.get(resource, name, namespace)
        except NotFound:
            return None

    async def idle_since(self, scheduler: SchedulerAt, *, clients: bool, data: bool) -> float | None:
        """Ask a scheduler since when it is idle."""
        return await self._schedulers.idle_since(scheduler, clients=clients, data=data)

    async def workers(self, scheduler: SchedulerAt) -> Mapping[str, WorkerFacts]:
        """Ask a scheduler for its workers."""
        return await self._schedulers.workers(scheduler)

    async def demand(self, scheduler: SchedulerAt) -> Demand:
        """Ask a scheduler how much work it has, and for whom."""
        return await self._schedulers.demand(scheduler)


def _of_group(pods: Iterable[Manifest], group: Manifest) -> list[Manifest]:
    uid = group["metadata"]["uid"]
    return [pod for pod in pods if _is_owned(pod, uid) or _is_stray(pod, group)]


def _is_owned(pod: Manifest, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or ())


def _is_stray(pod: Manifest, group: Manifest) -> bool:
    """Say whether a Pod that nobody owns was made for this very group: its name says so."""
    meta = group["metadata"]
    if pod["metadata"].get("ownerReferences"):
        return False
    made = range(int((group.get("status") or {}).get("counter") or 0))
    return any(pod["metadata"]["name"] == names.worker_pod(meta["name"], meta["uid"], each) for each in made)
