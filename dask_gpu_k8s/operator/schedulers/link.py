"""The way to a cluster's scheduler, from inside Kubernetes and from outside."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.portforward import LOCALHOST, PodIdentity, PortForward
from dask_gpu_k8s.kube.within import within
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.schedulers import wire
from dask_gpu_k8s.operator.schedulers.credentials import Credentials

T = TypeVar("T")

PAUSES = (3.0, 30.0)
"""Seconds, at first and at most, for which one that could not be reached in time is not tried again.

Whoever tries holds one of the few that look after everything; one that refuses a connection costs no time.
"""


@dataclass(frozen=True)
class _Silent:
    """What was said when a scheduler could not be reached in time, and until when it is not tried again."""

    message: str
    until: float
    pauses: Backoff


class SchedulerLink:
    """Connects to schedulers.

    Parameters
    ----------
    kube : KubeClient
    direct : bool
        Whether Services and Pods can be reached as they are, which is so in a Pod; else a port is
        forwarded.
    timeout : float
        Seconds to reach a scheduler, and again to get an answer.
    """

    def __init__(self, kube: KubeClient, *, direct: bool, timeout: float) -> None:
        self._kube = kube
        self._direct = direct
        self._timeout = timeout
        self._credentials = Credentials(kube)
        self._silent: dict[str, _Silent] = {}

    @contextlib.asynccontextmanager
    async def reach(self, scheduler: SchedulerAt) -> AsyncIterator[wire.Connection]:
        """Connect for the length of an ``async with``.

        Raises
        ------
        SchedulerUnreachable
            Also in place of any error of the connection while it is in use.
        """
        silent = self._silent.get(scheduler.uid)
        if silent is not None and time.monotonic() < silent.until:
            raise SchedulerUnreachable(silent.message)
        try:
            async with contextlib.AsyncExitStack() as stack:
                context = await self._credentials.context(scheduler)
                ways = await self._ways(scheduler, stack)
                try:
                    connection = await self._connect(ways, context, stack)
                except SchedulerUnreachable as error:
                    self._note_silence(scheduler.uid, str(error))
                    raise
                self._silent.pop(scheduler.uid, None)
                yield connection
        except (OSError, EOFError, KubeError, wire.WireError) as error:
            self._credentials.forget(scheduler.uid)
            raise SchedulerUnreachable(str(error) or type(error).__name__) from error

    async def in_time(self, answer: Awaitable[T]) -> T:
        """Wait for an answer, but not for ever.

        Raises
        ------
        SchedulerUnreachable
        """
        try:
            return await within(self._timeout, answer)
        except asyncio.TimeoutError as error:
            raise SchedulerUnreachable(f"no answer within {self._timeout:g} s") from error

    def forget(self, scheduler_uid: str) -> None:
        """Forget a scheduler that is gone."""
        self._credentials.forget(scheduler_uid)
        self._silent.pop(scheduler_uid, None)

    def _note_silence(self, uid: str, message: str) -> None:
        last = self._silent.get(uid)
        pauses = last.pauses if last else Backoff(PAUSES[0], maximum=PAUSES[1], jitter=0.0)
        self._silent[uid] = _Silent(message, time.monotonic() + next(pauses), pauses)

    async def _connect(
        self,
        ways: list[tuple[str, int]],
        context: ssl.SSLContext | None,
        stack: contextlib.AsyncExitStack,
    ) -> wire.Connection:
        *others, last = ways
        for way in others:
            with contextlib.suppress(OSError, EOFError, SchedulerUnreachable):
                return await self.in_time(stack.enter_async_context(wire.connect(*way, context)))
        return await self.in_time(stack.enter_async_context(wire.connect(*last, context)))

    async def _ways(self, scheduler: SchedulerAt, stack: contextlib.AsyncExitStack) -> list[tuple[str, int]]:
        if self._direct:
            service = f"{scheduler.cluster}-scheduler.{scheduler.namespace}.svc"
            return [(service, scheduler.service_port), (scheduler.pod_ip, scheduler.port)]
        pod, port = PodIdentity(scheduler.pod, scheduler.uid), scheduler.port
        forward = PortForward(self._kube, pod, {port: 0}, namespace=scheduler.namespace, spares=0)
        await stack.enter_async_context(forward)
        return [(LOCALHOST, forward.local_ports[port])]
