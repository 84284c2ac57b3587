"""One run: a script, played to an operator that one fault strikes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from dask_gpu_k8s.kube import client
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.config import Connection
from dask_gpu_k8s.kube.credentials import Fixed, Identity
from dask_gpu_k8s.kube.errors import ApiError, Unreachable
from dask_gpu_k8s.operator.app import Operator
from dask_gpu_k8s.operator.schedulers import wire
from dask_gpu_k8s.operator.settings import Settings
from tests.faults import clock
from tests.faults.calls import Call, Perform
from tests.faults.dask import Dask, asking
from tests.faults.kubelet import Kubelet
from tests.faults.laws import Laws
from tests.faults.server import Server, Transport, our_kinds
from tests.faults.state import state_of
from tests.faults.user import NotInTime, User

LATENCY = 0.002
"""Seconds that a request takes to get there, and its answer to come back."""

QUIET = 150.0
"""Seconds without a write after which nothing more is to be expected: no retry waits longer."""

PATIENCE = 6
"""How many such spans a run gets to become quiet in the right state."""

ALONE = Settings()
"""An operator without a Lease."""

AGAIN = 1.0
"""Seconds until an operator that has ended is started again."""


class Process:
    """One operator process, from its start until it is killed."""

    def __init__(self, run: Run) -> None:
        self.is_alive = True
        self._run = run
        self.task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        asking.set(self._strike)
        kube = KubeClient(Connection("in-process", "default", Fixed(Identity())))
        await Operator(kube, self._run.settings).run(asyncio.Event())

    async def _strike(self, call: Call, perform: Perform) -> Any:
        return await self._run.struck(self, call, perform)

    async def end(self) -> None:
        """Cut it off from everything, then take it away."""
        self.is_alive = False
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class Record:
    """What came of a run.

    Attributes
    ----------
    calls : list of Call
        All that the operator asked while the script was played and until it first was quiet.
    state : list of str
    settled_after : float
        Virtual seconds until the last write.
    """

    calls: list[Call] = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    settled_after: float = 0.0
    converged: bool = False
    struck: bool = False


Refusal = Callable[[Call], "ApiError | None"]


class Run:
    """A Kubernetes, its node, its Dasks and an operator.

    Parameters
    ----------
    strikes : callable, optional
        ``(number, call)`` to what is to strike before and after it takes effect, each ``None`` for nothing.
    """

    def __init__(self, strikes: Any = None, settings: Settings = ALONE) -> None:
        self.settings = settings
        self.server = Server()
        self.api = self.server.api
        self.dask = Dask()
        self.kubelet = Kubelet(self.api, self.dask)
        self.laws = Laws(self.api)
        self.may_lose = False
        self.refusals: list[Refusal] = []
        self.record = Record()
        self.processes: list[Process] = []
        self._strikes = strikes
        self._last_write = 0.0
        self._later: set[asyncio.Task[None]] = set()
        self._versions: list[tuple[float, int]] = [(0.0, self.api.store.version)]
        self.api.store.listen(lambda _, change: self._versions.append((clock.now(), change.version)))

    async def struck(self, process: Process, call: Call, perform: Perform) -> Any:
        """Perform a call of an operator, and let a fault strike it if it is its turn."""
        self._check(process, call)
        number = len(self.record.calls)
        self.record.calls.append(call)
        if call.is_write and not call.is_kept_out:
            self._last_write = clock.now()
            self.record.writes.append(f"{clock.now():.1f} {call}")
        before, after = self._strikes(number, call) if self._strikes else (None, None)
        await asyncio.sleep(LATENCY)
        self._check(process, call)
        if before:
            self.record.struck = True
            await before(self, process, call)
        for refusal in self.refusals:
            if error := refusal(call):
                raise error
        answer = await perform()
        if after:
            self.record.struck = True
            await after(self, process, call)
        await asyncio.sleep(LATENCY)
        self._check(process, call)
        return answer

    def _check(self, process: Process, call: Call) -> None:
        if not process.is_alive:
            raise EOFError("killed") if call.method == "RPC" else Unreachable("killed")

    def open_transport(self, connection: Connection, tls: object = None) -> Transport:
        """Open what an operator sends through."""
        return Transport(self.server, asking.get())

    def start(self) -> Process:
        """Start an operator."""
        process = Process(self)
        self.processes.append(process)
        process.task.add_done_callback(lambda task: self._ended(process, task))
        return process

    def _ended(self, process: Process, task: asyncio.Task[None]) -> None:
        """Start an operator again that ended by itself, as a Deployment does; and remember why."""
        if process.is_alive and not task.cancelled():
            process.is_alive = False
            self.record.broken.append(f"the operator ended by itself: {task.exception()!r}")
            self.later(AGAIN, self.start)

    async def kill(self, process: Process, *, then: float = AGAIN) -> None:
        """Kill an operator, in one of its own calls; another is started a while later."""
        process.is_alive = False

        self._do(process.end())
        self.later(then, self.start)
        await asyncio.Event().wait()

    def stop(self, process: Process) -> None:
        """Kill an operator for good."""
        self._do(process.end())

    def version_ago(self, seconds: float) -> int:
        """Return the version that the store had then."""
        return max(version for time, version in self._versions if time <= max(0.0, clock.now() - seconds))

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something after a while."""
        asyncio.get_running_loop().call_later(seconds, act)

    def _do(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def settle(self, expected: list[str] | None) -> None:
        """Wait until nothing is written any more and the state is the expected one."""
        end = clock.now() + PATIENCE * QUIET
        while clock.now() < end:
            await asyncio.sleep(max(self._last_write + QUIET - clock.now(), 1.0))
            self.record.state = state_of(self.api)
            is_quiet = clock.now() - self._last_write >= QUIET
            if is_quiet and (expected is None or self.record.state == expected):
                self.record.converged = True
                return
            if is_quiet:
                await asyncio.sleep(QUIET)


@contextlib.asynccontextmanager
async def running(run: Run) -> AsyncIterator[None]:
    """Have the operator run for the length of an ``async with``."""
    run.server.start()
    with (
        mock.patch.object(client, "Transport", run.open_transport),
        mock.patch.object(wire, "connect", run.dask.connect),
        mock.patch.dict(os.environ, IN_A_POD),
    ):
        run.start()
        try:
            yield
        finally:
            for process in run.processes:
                await process.end()


IN_A_POD = {"KUBERNETES_SERVICE_HOST": "here"}
"""Then the operator speaks to schedulers directly."""


def play(script: Callable[[Any], Any], strikes: Any = None, expected: list[str] | None = None) -> Record:
    """Play a script from the beginning to its end, in virtual time."""
    our_kinds()  # once for all runs, so that none is different from the others

    async def main() -> Record:
        run = Run(strikes, getattr(script, "settings", ALONE))
        async with running(run):
            try:
                await script(User(run))
            except NotInTime as error:
                run.record.broken.append(str(error))
                run.record.state = state_of(run.api)
            else:
                await run.settle(expected)
        run.record.settled_after = run._last_write
        run.record.broken += run.laws.broken
        if run.dask.lost and not run.may_lose:
            run.record.broken.append(f"results were lost: {', '.join(sorted(run.dask.lost))}")
        if run.dask.interrupted and not run.may_lose:
            names = ", ".join(sorted(run.dask.interrupted))
            run.record.broken.append(f"ended in the middle of a task: {names}")
        return run.record

    record: Record = clock.run(main())
    return record
