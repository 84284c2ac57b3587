"""What users and faults do in an order that nobody has thought of, drawn by hypothesis."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from dask_gpu_k8s.api.resources import DASKCLUSTER, POD
from dask_gpu_k8s.kube.errors import ApiError, api_error
from tests.faults import clock
from tests.faults.calls import Call
from tests.faults.run import Run, running
from tests.faults.scripts import a_cluster
from tests.faults.user import NAMESPACE, User

FAILING = ("POST", "PATCH", "DELETE", "GET", "WATCH")


class Life(RuleBasedStateMachine):
    """A cluster that is scaled, suspended and hurt, by an operator that is."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = clock.begin()
        self._stack = contextlib.AsyncExitStack()
        self._replicas = 2
        self._do(self._start())

    def _do(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)

    async def _start(self) -> None:
        self._run = Run()
        self._run.may_lose = True
        self._run.laws.lag = 60.0
        await self._stack.enter_async_context(running(self._run))
        self._user = User(self._run)
        self._user.create(DASKCLUSTER, a_cluster(self._replicas))

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.3, 1.0, 12.0]))
    def wait(self, seconds: float) -> None:
        self._do(asyncio.sleep(seconds))

    @rule(replicas=st.integers(0, 4))
    def scale(self, replicas: int) -> None:
        self._replicas = replicas
        self._user.scale("foo", replicas)

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self._user.patch(DASKCLUSTER, "foo", {"spec": {"suspend": suspend}})

    @rule(number=st.integers(0, 4))
    def lose(self, number: int) -> None:
        pods = self._user.pods()
        if pods:
            self._user.delete(POD, pods[number % len(pods)]["metadata"]["name"])

    @rule()
    def kill(self) -> None:
        self._do(self._restart())

    async def _restart(self) -> None:
        for process in self._run.processes:
            await process.end()
        self._run.start()

    @rule(gone=st.booleans())
    def cut(self, gone: bool) -> None:
        self._do(self._cut(gone))

    async def _cut(self, gone: bool) -> None:
        self._run.server.weather.cut(gone=gone)

    @rule(method=st.sampled_from(FAILING), code=st.sampled_from([403, 409, 429, 500]))
    def refuse_once(self, method: str, code: int) -> None:
        def refuse(call: Call) -> ApiError | None:
            if call.method != method:
                return None
            self._run.refusals.remove(refuse)
            return api_error(code, {"kind": "Status", "code": code, "message": "injected"}, call.what)

        self._run.refusals.append(refuse)

    def teardown(self) -> None:
        try:
            self._do(self._end())
        finally:
            clock.end(self._loop)

    async def _end(self) -> None:
        self._run.refusals.clear()
        self._user.patch(DASKCLUSTER, "foo", {"spec": {"suspend": False}})
        await self._user.has_workers("foo", self._replicas)
        await self._run.settle(None)
        await self._stack.aclose()
        assert self._run.record.converged, "it does not come to rest"
        assert not (self._run.laws.broken + self._run.record.broken), self._run.laws.broken
        pods = self._run.api.list(POD, NAMESPACE)
        assert len(pods) == self._replicas + 1, [pod["metadata"]["name"] for pod in pods]


def play_by_chance(examples: int) -> None:
    """Play as many lives, the same each time; AssertionError with the shortest one that goes wrong."""
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(Life, settings=settings)
