"""The operator's planners on an API in memory: events come when the test says, and in the order it says.

The API is that of the embedded Kubernetes, without HTTP and without nodes; the cache is the operator's own.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.manifests import crds
from dask_gpu_k8s.api.resources import (
    BUDGET,
    CRD,
    DASK_RESOURCES,
    DASKCLUSTER,
    DASKWORKERGROUP,
    NAMESPACE,
    POD,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.kube.errors import api_error
from dask_gpu_k8s.kube.store import Store
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.machinery.controllers import Controllers
from dask_gpu_k8s.operator.app import Operator
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.following import FOLLOWED
from dask_gpu_k8s.operator.settings import Settings

HOME = "ns"


class DirectKube:
    """What the operator needs of a KubeClient, straight on the API in memory. It counts the writes."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.namespace = HOME
        self.on_call: Any = None
        self.writes = 0

    async def create(self, resource: Resource, obj: Any, namespace: str | None = None, **_: Any) -> Any:
        self.writes += 1
        return _call(self._api.create, resource, namespace or obj["metadata"].get("namespace") or HOME, obj)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Any:
        return _call(self._api.get, resource, namespace or HOME, name)

    async def list(self, resource: Resource, namespace: str | None = None, labels: Any = None) -> Any:
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        return {"items": _call(self._api.list, resource, namespace, labels=selector)}

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        strict: bool = True,
        **options: Any,
    ) -> Any:
        self.writes += 1
        return _call(self._api.patch, resource, namespace or HOME, name, patch, **options)

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, **options: Any
    ) -> Any:
        self.writes += 1
        return _call(self._api.delete, resource, namespace or HOME, name, **options)


def _call(function: Any, *args: Any, **more: Any) -> Any:
    try:
        return function(*args, **more)
    except StatusError as error:
        raise api_error(error.code, error.status, "simulated") from None


class Simulation:
    """An operator whose view lags behind, kind by kind, until the test lets it see more."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.api = Api()
        for crd in crds():
            self.api.create(CRD, None, crd)
        self.api.create(NAMESPACE, None, {"metadata": {"name": HOME}})
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self._collector = Controllers(self.api)
        self.kube = DirectKube(self.api)
        self._events: dict[Resource, deque[Any]] = {resource: deque() for resource in FOLLOWED}
        by_table = {(resource.group, resource.plural): resource for resource in FOLLOWED}
        self.api.store.listen(
            lambda table, change: self._events[by_table[table]].append(change) if table in by_table else None
        )
        self.restart()

    def close(self) -> None:
        self.loop.close()

    def restart(self) -> None:
        """Begin anew with what the API has now: a new process, which remembers nothing."""
        for events in self._events.values():
            events.clear()
        kube: Any = self.kube
        self.operator = Operator(kube, Settings(namespaces=(HOME,)))
        for resource in FOLLOWED:
            for obj in self.api.list(resource, HOME, labels=self._selector(resource)):
                self._show(resource, None, obj)

    def _selector(self, resource: Resource) -> str:
        return "" if resource in DASK_RESOURCES else labels.CLUSTER_NAME

    def _store(self, resource: Resource) -> Store:
        return self.operator.following.reflectors[resource, HOME].store

    def _show(self, resource: Resource, key: Any, obj: Any) -> None:
        """Put an object into the operator's cache, or take the one of that key out."""
        store = self._store(resource)
        change = store.remove(key) if obj is None else store.put(obj)
        if change:
            self.operator._changed(resource, *change)

    @property
    def lagging(self) -> list[Resource]:
        """The kinds of which the operator has not seen all."""
        return [resource for resource, events in self._events.items() if events]

    def deliver(self, resource: Resource) -> None:
        """Let the operator see the next change of a kind."""
        change = self._events[resource].popleft()
        self._show(resource, change.key, None if change.type == "DELETED" else change.new.obj)

    def deliver_all(self) -> None:
        for resource in FOLLOWED:
            while self._events[resource]:
                self.deliver(resource)

    def collect(self) -> bool:
        """Let the garbage collector do one thing; say whether there was one."""
        return self._collector.step()

    def reconcile(self, kind: Resource, name: str) -> None:
        """Let the operator look at something once, as far as it sees; a failed run is one that was no use."""
        try:
            self.loop.run_until_complete(self.operator.controller.reconcile(Key(kind.kind, HOME, name)))
        except Exception as error:
            if type(error).__name__ != "RunFailed":
                raise

    def keys(self) -> list[tuple[Resource, str]]:
        """All that the operator would look at, by what it sees."""
        return [
            (resource, obj["metadata"]["name"])
            for resource in (DASKCLUSTER, DASKWORKERGROUP)
            for obj in self._store(resource)
        ]

    def settle(self) -> None:
        """Let everybody see everything until nobody does anything any more."""
        # As if time had passed: what the cache has not shown by now is asked for.
        self.operator._expectations._timeout = 0.0
        for _ in range(50):
            before = self.kube.writes
            self.deliver_all()
            for kind, name in self.keys():
                self.reconcile(kind, name)
            while self.collect():
                pass
            if self.kube.writes == before and not self.lagging:
                self.operator._expectations._timeout = Settings().expectation_timeout
                return
        raise AssertionError("the operator never comes to rest")

    def anything(self, rng: random.Random) -> None:
        """Let one thing happen that happens by itself."""
        choices: list[Any] = [lambda each=each: self.deliver(each) for each in self.lagging]
        choices += [lambda key=key: self.reconcile(*key) for key in self.keys()]
        choices += [self.collect, self.deliver_all]
        rng.choice(choices)()

    def check(self, wanted: dict[str, int]) -> None:
        """Compare a settled world with the clusters that there are to be, and the replicas of each."""
        clusters = {obj["metadata"]["name"]: obj for obj in self.api.list(DASKCLUSTER, HOME)}
        assert sorted(clusters) == sorted(wanted)
        for name, replicas in wanted.items():
            self._check_cluster(clusters[name], replicas)
        expected = {DASKWORKERGROUP: 1, SERVICE: 2, BUDGET: 1}
        for resource, number in expected.items():
            assert len(self.api.list(resource, HOME)) == number * len(wanted), resource.plural

    def _check_cluster(self, cluster: Any, replicas: int) -> None:
        name, uid, status = cluster["metadata"]["name"], cluster["metadata"]["uid"], cluster["status"]
        is_suspended = bool(cluster["spec"].get("suspend"))
        assert status["phase"] == ("Suspended" if is_suspended else "Pending"), (name, status)
        assert status["observedGeneration"] == cluster["metadata"]["generation"]
        group = self.api.get(DASKWORKERGROUP, HOME, f"{name}-default")
        assert [owner["uid"] for owner in group["metadata"]["ownerReferences"]] == [uid]
        assert group["spec"]["worker"]["replicas"] == replicas
        pods = self.api.list(POD, HOME, labels=f"dask.org/cluster-name={name}")
        workers = [
            pod for pod in pods if pod["metadata"]["ownerReferences"][0]["uid"] == group["metadata"]["uid"]
        ]
        assert len(workers) == (0 if is_suspended else replicas)
        assert len(pods) == (0 if is_suspended else replicas + 1), "the workers and one scheduler"
