"""The shell around the planners: look, decide, act, say so; and come back when that makes sense."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.within import within
from dask_gpu_k8s.operator.engine.actions import Conclusion, Outcome, Plan, refusals, soonest
from dask_gpu_k8s.operator.engine.executor import Executor, describe
from dask_gpu_k8s.operator.engine.facts import Key, World
from dask_gpu_k8s.operator.engine.queue import QueueClosed, WorkQueue
from dask_gpu_k8s.operator.engine.refusals import NAMESPACE_TERMINATING, Refusals
from dask_gpu_k8s.operator.engine.reporter import Reporter
from dask_gpu_k8s.operator.logs import RUN, Run
from dask_gpu_k8s.operator.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """How one kind of resource is looked after.

    Attributes
    ----------
    resource : Resource
    observe : callable
        ``(key, world)`` to what there is, or ``None`` if the resource is gone.
    plan : callable
        ``(seen, now)`` to a Plan; pure.
    conclude : callable
        ``(seen, plan, outcomes, now)`` to a Conclusion, or ``None`` if there is nothing to say; pure.
    duty : str
        Empty for the kind's own; else what is done about it beside that, in runs of its own.
    """

    resource: Resource
    observe: Callable[[Key, World], Awaitable[Any]]
    plan: Callable[[Any, datetime], Plan]
    conclude: Callable[[Any, Plan, list[Outcome], datetime], Conclusion | None]
    duty: str = ""

    @property
    def name(self) -> str:
        """What its keys have for a kind."""
        return self.duty or self.resource.kind


@dataclass
class Counts:
    """What has been done since the start."""

    runs: int = 0
    errors: int = 0


class Controller:
    """Works on the keys of a queue.

    Parameters
    ----------
    kinds : mapping
        Name of a kind to how it is looked after.
    world : World
    executor : Executor
    reporter : Reporter
        Writes status and Events.
    refused : Refusals
        Told what the API server has refused.
    queue : WorkQueue
    metrics : Metrics
    run_limit : float
        Seconds after which a run is given up.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        world: World,
        executor: Executor,
        reporter: Reporter,
        refused: Refusals,
        queue: WorkQueue[Key],
        metrics: Metrics,
        *,
        run_limit: float,
    ) -> None:
        self.counts = Counts()
        self._kinds = kinds
        self._world = world
        self._executor = executor
        self._reporter = reporter
        self._refused = refused
        self._queue = queue
        self._metrics = metrics
        self._run_limit = run_limit
        self._ids = itertools.count(1)

    async def work(self) -> None:
        """Take keys and work on them until the queue is closed."""
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                return
            try:
                await self._work_on(key)
            finally:
                self._queue.done(key)

    async def _work_on(self, key: Key) -> None:
        # Whatever is logged from here on, wherever, carries it.
        RUN.set(Run(next(self._ids), key))
        self.counts.runs += 1
        began, failed = time.perf_counter(), False
        try:
            wake_after = await within(self._run_limit, self.reconcile(key))
        except Exception as error:  # whatever it was, the next run of this key may do better
            failed = True
            self.counts.errors += 1
            self._log_failure(error, self._queue.retry(key))
        else:
            if wake_after is not None:
                self._queue.add(key, after=wake_after)
        finally:
            self._metrics.ran(key.kind, time.perf_counter() - began, failed=failed)
            RUN.set(None)

    async def reconcile(self, key: Key) -> float | None:
        """Look at a resource once and do what is to be done.

        Parameters
        ----------
        key : Key

        Returns
        -------
        float or None
            Seconds after which to look again even if nothing changes.

        Raises
        ------
        RunFailed
            If something went wrong that may go well another time.
        """
        kind = self._kinds[key.kind]
        # What is said is compared to what was seen. A later version may say something else, and be followed
        # by the event that has this one looked at anew: to contradict it here would go on for ever.
        resource = self._world.cache.get(kind.resource, key.namespace, key.name)
        seen = await kind.observe(key, self._world)
        if seen is None:
            self._queue.forget(key)
            self._refused.forget(key)
            self._executor.forget(key)
            return None
        now = datetime.now(timezone.utc)
        plan = kind.plan(seen, now)
        if plan.actions:
            logger.info("%s", describe(plan))
        outcomes = await self._executor.act(key, plan)
        self._metrics.acted(key.kind, outcomes)
        conclusion = kind.conclude(seen, plan, outcomes, now)
        _log_refusals(outcomes)
        if refusals(outcomes) and resource is not None:
            self._refused.note(key, resource)
        is_said = True
        if conclusion is not None and resource is not None:
            is_said = await self._reporter.report(kind.resource, resource, conclusion)
        self._raise_for(outcomes)
        if not is_said:
            return self._queue.retry(key)
        return self._settle(key, outcomes, plan, conclusion)

    def _settle(
        self, key: Key, outcomes: list[Outcome], plan: Plan, conclusion: Conclusion | None
    ) -> float | None:
        if any(outcome.state == "again" for outcome in outcomes):
            # Usually the cache is about to show why; the delay grows in case it never does.
            return self._queue.retry(key)
        self._queue.forget(key)
        return soonest(plan.wake_after, conclusion.wake_after if conclusion else None)

    def _raise_for(self, outcomes: list[Outcome]) -> None:
        failed = [outcome for outcome in outcomes if outcome.state == "failed"]
        if failed:
            raise RunFailed(f"{failed[0].action}: {failed[0].message}")

    def _log_failure(self, error: Exception, delay: float) -> None:
        text = (
            f"took longer than {self._run_limit:g} s"
            if isinstance(error, asyncio.TimeoutError)
            else str(error)
        )
        is_expected = isinstance(error, (RunFailed, KubeError, asyncio.TimeoutError))
        logger.warning("%s; again in %.1f s", text, delay, exc_info=None if is_expected else error)


class RunFailed(Exception):
    """A run could not do all that was to be done; another one may."""


def _log_refusals(outcomes: list[Outcome]) -> None:
    # Not everything that may be refused has a condition of its own.
    refused = [each for each in refusals(outcomes) if each.reason != NAMESPACE_TERMINATING]
    if refused:
        more = f" ({len(refused) - 1} more are refused)" if len(refused) > 1 else ""
        logger.warning("%s is refused: %s%s", refused[0].action, refused[0].message, more)
