"""One run of a container: its process, its log, its probes, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from dask_gpu_k8s.local.node.checks import Target
from dask_gpu_k8s.local.node.launch import Launch
from dask_gpu_k8s.local.node.logs import Log
from dask_gpu_k8s.local.node.processes import Process, Processes

_AFTER_HOOK = 2.0
"""Seconds that a container gets after a preStop hook that took all its time."""
_CLEAR = 10.0
"""Seconds after which a process that a SIGKILL does not end is given up, as by the watchdog."""
_DRAIN = 1.0
"""Seconds after which output that something still holds open is given up."""


@dataclass(frozen=True)
class Report:
    """Whom a run tells what happens to it.

    Attributes
    ----------
    started : callable
        The startup probe passed.
    ready : callable
        What the readiness probe says now.
    unhealthy : callable
        Why the container has to end.
    warning : callable
        Reason and message of an event.
    ended : callable
        Exit code, or minus the signal.
    """

    started: Callable[[], None]
    ready: Callable[[bool], None]
    unhealthy: Callable[[str], None]
    warning: Callable[[str, str], None]
    ended: Callable[[int], None]


class ContainerRun:
    """A process that runs as a container.

    Parameters
    ----------
    container : mapping
        Its specification.
    launch : Launch
    target : Target
        The container as probes see it.
    log : Log
    processes : Processes
    report : Report

    Raises
    ------
    OSError
        If the command cannot be started.
    """

    def __init__(
        self,
        container: Mapping[str, Any],
        launch: Launch,
        target: Target,
        log: Log,
        processes: Processes,
        report: Report,
    ) -> None:
        self.launch = launch
        self.log = log
        self._container = container
        self._target = target
        self._report = report
        self._deadline = float("inf")
        self._stopping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._processes = processes
        self.process = _start(launch, log, processes)
        self._attending = asyncio.get_running_loop().create_task(self._attend())
        self._spawn(self._accompany())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self, grace: float) -> bool:
        """End the run within so many seconds; a later call can only shorten it. Tell if it was the first."""
        deadline = asyncio.get_running_loop().time() + grace
        if self.process.ended.done() or deadline > self._deadline - 0.1:
            return False
        first = self._stopping is None
        self._deadline = deadline
        for task in tuple(self._tasks):
            task.cancel()
        self._stopping = self._spawn(self._stop(hook=first))
        return first

    async def wait(self) -> None:
        """Wait until the run has ended and was reported."""
        await asyncio.wait([self._attending])

    async def _attend(self) -> None:
        code = await self.process.ended
        for task in tuple(self._tasks):
            task.cancel()
        # What it started in the background ends with it, as all processes of a container do.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._processes.clear(self.process), _CLEAR)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.log.drained(), _DRAIN)
        self.log.finish()
        self._report.ended(code)

    async def _stop(self, *, hook: bool) -> None:
        loop = asyncio.get_running_loop()
        action = (self._container.get("lifecycle") or {}).get("preStop")
        if hook and action and self._deadline > loop.time():
            await self._before_stop(action)
            self._deadline = max(self._deadline, loop.time() + _AFTER_HOOK)
        self.process.send(signal.SIGTERM)
        left = max(0.0, self._deadline - loop.time())
        await asyncio.wait([self.process.ended], timeout=left)
        self.process.kill_all()

    async def _before_stop(self, action: Mapping[str, Any]) -> None:
        left = self._deadline - asyncio.get_running_loop().time()
        try:
            failure = await asyncio.wait_for(self._hook(action), left)
        except asyncio.TimeoutError:
            failure = "it took longer than the grace period"
        if failure:
            self._report.warning("FailedPreStopHook", f"PreStopHook failed: {failure}")

    async def _hook(self, action: Mapping[str, Any]) -> str:
        if "sleep" in action:
            await asyncio.sleep(float(action["sleep"].get("seconds") or 0))
            return ""
        if "exec" in action:
            return await self._target.execute(action["exec"])
        return await self._target.get(action.get("httpGet") or {})

    async def _accompany(self) -> None:
        """Run the hook at the start, then the probes."""
        action = (self._container.get("lifecycle") or {}).get("postStart")
        if action and (failure := await self._hook(action)):
            self._report.warning("FailedPostStartHook", f"PostStartHook failed: {failure}")
            self._report.unhealthy("FailedPostStartHook")
            return
        if not await self._started():
            return
        self._report.started()
        watches = [self._watch_readiness(), self._watch_liveness()]
        await asyncio.gather(*watches)

    async def _started(self) -> bool:
        """Wait for the startup probe; tell if the container may go on."""
        probe = self._container.get("startupProbe")
        if not probe:
            return True
        async for well in self._results("Startup", probe):
            if not well:
                self._fail("startup")
            return well
        return False

    async def _watch_readiness(self) -> None:
        probe = self._container.get("readinessProbe")
        if not probe:
            self._report.ready(True)
            return
        async for well in self._results("Readiness", probe):
            self._report.ready(well)

    async def _watch_liveness(self) -> None:
        probe = self._container.get("livenessProbe")
        if not probe:
            return
        async for well in self._results("Liveness", probe):
            if not well:
                self._fail("liveness")
                return

    def _fail(self, kind: str) -> None:
        name = self._container["name"]
        self._report.unhealthy(f"Container {name} failed {kind} probe, will be restarted")

    async def _results(self, kind: str, probe: Mapping[str, Any]) -> AsyncIterator[bool]:
        """Probe for ever; yield each time a threshold is reached."""
        await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
        wells = ills = 0
        while True:
            failure = await self._target.check(probe)
            if failure:
                wells, ills = 0, ills + 1
                self._report.warning("Unhealthy", f"{kind} probe failed: {failure}")
            else:
                wells, ills = wells + 1, 0
            if wells >= (probe.get("successThreshold") or 1):
                yield True
            elif ills >= (probe.get("failureThreshold") or 3):
                yield False
            await asyncio.sleep(float(probe.get("periodSeconds") or 10))


def _start(launch: Launch, log: Log, processes: Processes) -> Process:
    out, err = log.pipe("stdout"), log.pipe("stderr")
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        return processes.start(
            launch.command,
            env=launch.env,
            cwd=launch.cwd,
            marker=launch.marker,
            files=(nothing, out, err),
        )
    except OSError:
        log.finish()
        raise
    finally:
        for file in (out, err, nothing):
            os.close(file)
