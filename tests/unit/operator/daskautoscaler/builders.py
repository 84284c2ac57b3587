"""A world in which time is told, with one cluster, its default group and whatever a test adds."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKWORKERGROUP
from dask_gpu_k8s.operator.daskautoscaler.observe import Observed, observe
from dask_gpu_k8s.operator.daskautoscaler.plan import plan
from dask_gpu_k8s.operator.daskautoscaler.status import conclude
from dask_gpu_k8s.operator.engine.actions import Conclusion, Outcome, Patch, Plan
from dask_gpu_k8s.operator.engine.demand import Demand
from dask_gpu_k8s.operator.engine.facts import Key, SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.engine.reporter import difference
from dask_gpu_k8s.operator.engine.wishes import Wishes
from dask_gpu_k8s.operator.objects.metadata import make_owner_reference
from tests.unit.operator.builders import NOW, OLD, a_cluster, a_group, parts_of

CLUSTER = a_cluster()


def an_autoscaler(
    name: str = "scaler", /, *, adopted: bool = True, created: str = OLD, **spec: Any
) -> dict[str, Any]:
    owners = [make_owner_reference(CLUSTER, DASKCLUSTER)] if adopted else []
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskAutoscaler",
        "metadata": {
            "name": name, "namespace": "ns", "uid": f"u-{name}", "resourceVersion": "5", "generation": 1,
            "creationTimestamp": created, "ownerReferences": owners,
        },
        "spec": {"cluster": "foo", "minimum": 0, "maximum": 10, **spec},
    }  # fmt: skip


class World:
    """What `observe` is handed, and an API server and executor that do what a plan says."""

    def __init__(
        self, *autoscalers: dict[str, Any], replicas: int = 2, cluster: dict[str, Any] | None = None
    ) -> None:
        self.seconds = 0.0
        self.cluster = cluster or a_cluster()
        self.scheduler = parts_of(self.cluster)["scheduler"]
        self.scheduler["status"]["podIP"] = "10.0.1.1"
        self.groups = [a_group(replicas, self.cluster)]
        self.autoscalers = list(autoscalers) or [an_autoscaler()]
        self.pods: list[dict[str, Any]] = []
        self.answer: Demand | None = Demand(target=0)
        self.wishes = Wishes(lambda: self.seconds)
        self.cache = self
        self.writes: list[Patch] = []

    # As a cache

    def get(self, resource: Any, namespace: str, name: str) -> Any:
        objects = [self.cluster, self.scheduler, *self.groups, *self.autoscalers]
        found = [
            each
            for each in objects
            if each and (each["kind"], each["metadata"]["name"]) == (resource.kind, name)
        ]
        return found[0] if found else None

    def owned(self, resource: Any, namespace: str, uid: str) -> Any:
        return self.pods

    def groups_of(self, namespace: str, cluster: str) -> Any:
        return [group for group in self.groups if group["spec"]["cluster"] == cluster]

    def autoscalers_of(self, namespace: str, cluster: str) -> Any:
        return [each for each in self.autoscalers if each["spec"]["cluster"] == cluster]

    # As a world

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    async def demand(self, scheduler: SchedulerAt) -> Demand:
        if self.answer is None:
            raise SchedulerUnreachable("no answer within 5 s")
        return self.answer

    # As the operator

    def see(self, name: str = "scaler") -> Observed:
        seen = asyncio.run(observe(Key("DaskAutoscaler", "ns", name), self))  # type: ignore[arg-type]
        assert seen is not None
        return seen

    def look(self, name: str = "scaler") -> tuple[Plan, Conclusion | None]:
        """Reconcile once, and let everything take effect."""
        seen = self.see(name)
        now = self.now()
        planned = plan(seen, now)
        outcomes = []
        for action in planned.actions:
            assert isinstance(action, Patch)
            self._apply(action)
            outcomes.append(Outcome(action, "done"))
        said = conclude(seen, planned, outcomes, now)
        if said is not None:
            me = self.get(DASKAUTOSCALER, "ns", name)
            changes = difference(me.get("status") or {}, said.status)
            if changes:
                self._apply(Patch(DASKAUTOSCALER, "ns", name, {"status": changes}, "status"))
        return planned, said

    def _apply(self, action: Patch) -> None:
        self.writes.append(action)
        objects = self.groups if action.resource == DASKWORKERGROUP else self.autoscalers
        (place,) = [at for at, each in enumerate(objects) if each["metadata"]["name"] == action.name]
        # A new object each time, as in a cache: what was seen before stays as it was.
        objects[place] = _merged(objects[place], action.patch)

    def after(self, seconds: float, name: str = "scaler") -> int:
        """Let time pass, reconcile, and return the size of the default group."""
        self.seconds += seconds
        self.look(name)
        return self.size

    @property
    def size(self) -> int:
        return int(self.groups[0]["spec"]["worker"]["replicas"])

    def condition(self, type_: str, name: str = "scaler") -> tuple[str, str]:
        conditions = self.get(DASKAUTOSCALER, "ns", name)["status"]["conditions"]
        found = find(conditions, type_) or {}
        return found.get("status", ""), found.get("reason", "")

    def message(self, type_: str = "Active", name: str = "scaler") -> str:
        conditions = self.get(DASKAUTOSCALER, "ns", name)["status"]["conditions"]
        return str((find(conditions, type_) or {}).get("message"))


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = {
        **(old or {}),
        **{field: _merged((old or {}).get(field), value) for field, value in patch.items()},
    }
    return {field: value for field, value in merged.items() if value is not None}
