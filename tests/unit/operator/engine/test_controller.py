"""The shell around planners, with a cache that changes while it works."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.operator.engine.actions import Conclusion, Delete, Outcome, Plan
from dask_gpu_k8s.operator.engine.controller import Controller, Kind
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.engine.queue import WorkQueue
from dask_gpu_k8s.operator.engine.refusals import Refusals
from dask_gpu_k8s.operator.engine.reporter import Reporter
from dask_gpu_k8s.operator.metrics import Metrics

KEY = Key("DaskCluster", "ns", "foo")


def version(number: int, since: str) -> dict[str, Any]:
    metadata = {"name": "foo", "namespace": "ns", "uid": "u", "resourceVersion": str(number)}
    return {"metadata": metadata, "status": {"since": since}}


class Moving:
    """A world in which another version arrives while a run is under way; also its cache and executor."""

    def __init__(self, outcomes: tuple[Outcome, ...] = ()) -> None:
        self.cache = self
        self.now = version(1, "noon")
        self.outcomes = list(outcomes)

    def get(self, *_: object) -> dict[str, Any]:
        return self.now

    async def act(self, key: Key, plan: Plan) -> list[Outcome]:
        self.now = version(2, "one o'clock")
        return self.outcomes


class Kube:
    """Counts what is written."""

    def __init__(self) -> None:
        self.patches: list[Any] = []

    async def patch(self, *args: Any, **_: Any) -> None:
        self.patches.append(args)


async def observe(key: Key, world: Any) -> Any:
    return world.cache.get()


def plan(seen: Any, now: datetime) -> Plan:
    return Plan()


def conclude(seen: Any, plan: Plan, outcomes: list[Outcome], now: datetime) -> Conclusion:
    return Conclusion(dict(seen["status"]))


async def _reconcile(*outcomes: Outcome) -> list[Any]:
    world, kube = Moving(outcomes), Kube()
    kind = Kind(DASKCLUSTER, observe, plan, conclude)
    controller = Controller(
        {KEY.kind: kind},
        world,  # type: ignore[arg-type]
        world,  # type: ignore[arg-type]
        Reporter(kube),  # type: ignore[arg-type]
        Refusals(time.monotonic),
        WorkQueue(time.monotonic, Backoff),
        Metrics([KEY.kind]),
        run_limit=10,
    )
    await controller.reconcile(KEY)
    return kube.patches


def test_what_was_seen_is_not_said_again_over_a_version_that_came_meanwhile():
    # Else two versions that differ are each answered with the other, for ever.
    assert asyncio.run(_reconcile()) == []


def test_what_is_refused_is_logged(caplog):
    """Some things have no condition to say it: a Pod that may not be deleted, say."""
    delete = Delete(POD, "ns", "foo-scheduler", "u")
    refused = Outcome(delete, "refused", "Forbidden", "pods is forbidden.")
    asyncio.run(_reconcile(Outcome(delete, "done"), refused, refused))
    assert caplog.messages == ["delete pod foo-scheduler is refused: pods is forbidden. (1 more are refused)"]
    caplog.clear()
    asyncio.run(_reconcile(Outcome(delete, "refused", "NamespaceTerminating", "It is going.")))
    assert not caplog.messages
