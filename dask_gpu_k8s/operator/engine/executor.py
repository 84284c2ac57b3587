"""Carries out plans. It decides nothing: each action has one rule for each answer."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Protocol

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Gone,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from dask_gpu_k8s.operator.engine.actions import (
    Action,
    Create,
    Delete,
    Issue,
    LeavingPod,
    Outcome,
    Patch,
    Plan,
    Retire,
    is_mark,
)
from dask_gpu_k8s.operator.engine.expectations import Expectation, Expectations
from dask_gpu_k8s.operator.engine.facts import Key, SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.engine.refusals import NAMESPACE_TERMINATING
from dask_gpu_k8s.operator.pods import controller, is_terminating
from dask_gpu_k8s.operator.schedulers.api import RetireAnswer
from dask_gpu_k8s.operator.security.secrets import write_secret
from dask_gpu_k8s.operator.shaping import ShapingFailed

PASSING = (ServerError, TooManyRequests, Unauthorized, Gone)
"""Errors that the user can do nothing about and that may be over the next time."""

UNANSWERED = "Unanswered"

AT_ONCE = 25
"""Actions of one plan that are under way at the same time: half of what a client may ask at once."""

NOT_YET_MAPPED = "cannot find RESTMapping"
"""What OwnerReferencesPermissionEnforcement says, with a 403, while it has not heard of a new definition."""


class Retirer(Protocol):
    """Whoever can have data moved off workers."""

    async def retire(
        self,
        scheduler: SchedulerAt,
        addresses: Iterable[str],
        *,
        leaving: Iterable[str] = (),
        ending: Iterable[str] = (),
        limit: float,
    ) -> RetireAnswer:
        """Have data moved off workers; see `SchedulerApi.retire`."""


class Executor:
    """Carries out plans.

    Parameters
    ----------
    kube : KubeClient
    schedulers : Retirer
    expectations : Expectations
        Told of each change of a Pod before it is sent.
    shape : callable, optional
        Returns the object to create for the one that was planned; may raise `ShapingFailed`.
    clock : callable, optional
        Monotonic time in seconds.
    """

    def __init__(
        self,
        kube: KubeClient,
        schedulers: Retirer,
        expectations: Expectations,
        shape: Callable[[Manifest], Manifest] = lambda planned: planned,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._shape = shape
        self._schedulers = schedulers
        self._expectations = expectations
        self._clock = clock

    async def act(self, key: Key, plan: Plan) -> list[Outcome]:
        """Carry out a plan stage by stage, each in parallel; stop after a stage that did not succeed.

        Parameters
        ----------
        key : Key
            On whose behalf.
        plan : Plan

        Returns
        -------
        list of Outcome
            Of the actions that were tried.
        """
        outcomes: list[Outcome] = []
        # So many at once, and no more: a big group must leave room for the requests of others.
        slots = asyncio.Semaphore(AT_ONCE)

        async def do(action: Action) -> list[Outcome]:
            async with slots:
                return await self._do(key, action)

        for stage in plan.stages:
            results = await asyncio.gather(*map(do, stage))
            outcomes += itertools.chain.from_iterable(results)
            if any(outcome.state != "done" for outcome in outcomes):
                break
        return outcomes

    def forget(self, key: Key) -> None:
        """Forget a resource that is gone."""
        self._expectations.forget(key)

    async def _do(self, key: Key, action: Action) -> list[Outcome]:
        if isinstance(action, Retire):
            return await self._retire(key, action)
        expectation = _expectation(action)
        if expectation:
            self._expectations.expect(key, expectation, self._clock())
        outcome = await self._attempt(action)
        if expectation and outcome.state in ("again", "refused"):
            self._expectations.drop(expectation)
        elif expectation and outcome.state == "failed" and outcome.reason != UNANSWERED:
            # What got no answer at all may still take effect, so that is waited for a while.
            self._expectations.doubt(expectation)
        if outcome.state == "refused" and isinstance(action, Create) and action.undo:
            await self._attempt(action.undo)
        return [outcome]

    async def _attempt(self, action: Create | Patch | Delete | Issue) -> Outcome:
        if isinstance(action, Issue):
            # Keys are made as late as this: a plan holds no secrets and can be compared with another.
            return replace(
                await self._attempt(write_secret(action, datetime.now(timezone.utc))), action=action
            )
        try:
            if isinstance(action, Create):
                return await self._create(action)
            if isinstance(action, Patch):
                return await self._patch(action)
            return await self._delete(action)
        except ShapingFailed as error:
            return Outcome(action, "refused", "PluginFailed", str(error))
        except Conflict as error:
            return Outcome(action, "again", error.reason, error.message)
        except PASSING as error:
            return Outcome(action, "failed", error.reason, str(error))
        except ApiError as error:
            return _refused(action, error)
        except KubeError as error:
            return Outcome(action, "failed", UNANSWERED, str(error))

    async def _create(self, action: Create) -> Outcome:
        try:
            # Not strict: a pod spec that went through our schema may know more than an older server.
            await self._kube.create(action.resource, self._shape(action.body), strict=False)
        except AlreadyExists:
            return await self._meet(action)
        return Outcome(action, "done")

    async def _meet(self, action: Create) -> Outcome:
        """Find out who has the name: we ourselves, what an earlier owner left, or a stranger."""
        meta = action.body["metadata"]
        try:
            there = await self._kube.get(action.resource, meta["name"], meta["namespace"])
        except NotFound:
            return Outcome(action, "again", "NotFound", "gone again meanwhile")
        if controller(there).get("uid") == controller(action.body).get("uid"):
            return Outcome(action, "done")
        what = f"{action.resource.kind} {meta['name']!r}"
        same_name = controller(there).get("name") == controller(action.body).get("name")
        if is_terminating(there) or same_name:
            return Outcome(action, "again", "NameTaken", f"{what} of an earlier owner has yet to go")
        return Outcome(action, "refused", "NameTaken", f"{what} exists already and belongs to somebody else.")

    async def _patch(self, action: Patch) -> Outcome:
        try:
            await self._kube.patch(
                action.resource,
                action.name,
                action.patch,
                action.namespace,
                sub=action.sub,
                kind="json" if isinstance(action.patch, list) else "merge",
                strict=False,
            )
        except NotFound as error:
            return Outcome(action, "again", error.reason, error.message)
        return Outcome(action, "done")

    async def _delete(self, action: Delete) -> Outcome:
        try:
            await self._kube.delete(
                action.resource,
                action.name,
                action.namespace,
                uid=action.uid,
                resource_version=action.resource_version,
                grace_seconds=action.grace_seconds,
                propagation=action.propagation,
            )
        except NotFound:
            pass
        return Outcome(action, "done")

    async def _retire(self, key: Key, action: Retire) -> list[Outcome]:
        addresses = [address for pod in action.pods for address in pod.addresses]
        try:
            answer = await self._schedulers.retire(
                action.scheduler,
                addresses,
                leaving=action.leaving,
                ending=action.ending,
                limit=action.limit,
            )
        except SchedulerUnreachable as error:
            return [Outcome(action, "failed", "SchedulerUnreachable", str(error))]
        free, moving, left = _sort(action, answer)
        lost = [pod for pod in left if pod.name in action.forced]
        deletes = [_delete_of(pod, action) for pod in free]
        deletes += [_delete_of(pod, action, pod.lost_grace) for pod in lost]
        outcomes = await asyncio.gather(*(self._do(key, delete) for delete in deletes))
        return [
            Outcome(
                action,
                "done",
                kept=tuple(pod.name for pod in left if pod not in lost),
                moving=tuple(pod.name for pod in moving),
                lost=tuple(pod.name for pod in lost),
            ),
            *itertools.chain.from_iterable(outcomes),
        ]


def _sort(action: Retire, answer: RetireAnswer) -> tuple[list[LeavingPod], ...]:
    """Sort leaving Pods by what became of their workers: free to go, still moving data or at work, stuck."""
    free, moving, left = [], [], []
    for pod in action.pods:
        in_a_hurry = pod.name in action.hurried
        ready = answer.retired | answer.busy if in_a_hurry else answer.retired
        under_way = answer.moving if in_a_hurry else answer.moving | answer.busy
        if ready.issuperset(pod.addresses):
            free.append(pod)
        elif under_way.intersection(pod.addresses):
            moving.append(pod)
        else:
            left.append(pod)
    return free, moving, left


def _delete_of(pod: LeavingPod, action: Retire, grace_seconds: int | None = None) -> Delete:
    return Delete(POD, action.scheduler.namespace, pod.name, pod.uid, grace_seconds=grace_seconds)


def _expectation(action: Create | Patch | Delete | Issue) -> Expectation | None:
    if isinstance(action, Issue) or action.resource != POD:
        return None
    if isinstance(action, Create):
        meta = action.body["metadata"]
        return Expectation("create", meta["namespace"], meta["name"])
    if isinstance(action, Delete):
        return Expectation("delete", action.namespace, action.name)
    if is_mark(action):
        return Expectation("mark", action.namespace, action.name)
    return None


def _refused(action: Action, error: ApiError) -> Outcome:
    if NOT_YET_MAPPED in error.message:
        return Outcome(action, "failed", error.reason, str(error))
    causes = error.details.get("causes") or ()
    if any(cause.get("reason") == NAMESPACE_TERMINATING for cause in causes):
        return Outcome(action, "refused", NAMESPACE_TERMINATING, "The namespace is being deleted.")
    return Outcome(action, "refused", error.reason or type(error).__name__, error.message)


def describe(plan: Plan) -> str:
    """Say in a line what a plan does, for the log."""
    texts = [str(action) for action in plan.actions]
    shown = ", ".join(texts[:4])
    return shown if len(texts) <= 4 else f"{shown} and {len(texts) - 4} more"
