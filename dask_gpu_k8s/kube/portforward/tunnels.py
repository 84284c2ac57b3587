"""Tunnels into the Pod that is meant at the moment, some of which stand ready."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import ApiError, BadRequest, Forbidden, KubeError, NoSuchProtocol, Unreachable
from dask_gpu_k8s.kube.portforward import upkeep
from dask_gpu_k8s.kube.portforward.channel import carry_alone
from dask_gpu_k8s.kube.portforward.local import LocalEnd
from dask_gpu_k8s.kube.portforward.tunnel import Tunnel
from dask_gpu_k8s.kube.spdy.events import TUNNEL_PROTOCOL
from dask_gpu_k8s.kube.within import within

logger = logging.getLogger(__name__)

DIAL_SECONDS = 10.0
"""How long finding the Pod and opening a tunnel to it may take."""

FIND_SECONDS = 3.0
"""How long finding the Pod may take of that: the network may have forgotten the connection it is asked on."""

HOLD_SECONDS = 30.0
"""How long a local connection is held while there is no way to the Pod: as long as Dask tries to connect."""

CALM_SECONDS = 1.2
"""How long new connections wait after one was cut.

The container runtime ends its half of one that was cut a second later. A Dask scheduler knows a client by its
name alone: the end of an old connection ends the client's new one as well, and with it what was asked there.
"""

LOOK_SECONDS = 0.5
"""How often the tunnels are looked at if nothing happens."""


@dataclass(frozen=True)
class PodIdentity:
    """Which Pod is meant; one of the same name and another uid is another one."""

    name: str
    uid: str = ""


class Tunnels:
    """Carries connections to a Pod; looks for it again after any error.

    Parameters
    ----------
    kube : KubeClient
    find : callable
        Coroutine function that says which Pod is meant; if it raises, it is asked again later.
    namespace : str
        The Pod's.
    spares : int
        How many tunnels stand ready; up to twice as many are kept. If none, no connection is held either.
    is_news : callable
        Asked whether to tell the log that there is no way to the Pod.
    """

    def __init__(
        self,
        kube: KubeClient,
        find: Callable[[], Awaitable[PodIdentity]],
        namespace: str,
        spares: int,
        is_news: Callable[[], bool],
    ) -> None:
        self._kube = kube
        self._find = find
        self._is_news = is_news
        self._namespace = namespace
        self._spares = spares
        self._pod: PodIdentity | None = None
        self._finding = asyncio.Lock()
        self._speaks_tunnels = True
        self._tunnels: list[Tunnel] = []
        self._dials: list[float] = []
        self._waiting = 0
        self._news = asyncio.Event()
        self._backoff = Backoff(maximum=3.0)
        self._trouble_since: float | None = None
        self._refusal: Forbidden | None = None
        self._not_before = 0.0
        self._calm_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to dial."""
        self._spawn(self._look_after_them())

    async def settled(self) -> None:
        """Wait until there is a way to the Pod, or it is clear that there is none at the moment.

        Raises
        ------
        Forbidden
            If there will be none, for want of a right.
        """
        while not self._tunnels and self._speaks_tunnels and self._trouble_since is None:
            await self._news.wait()
        if self._refusal is not None:
            raise self._refusal

    async def close(self) -> None:
        """End all tunnels and what is on them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def carry(self, port: int, end: LocalEnd) -> None:
        """Carry a connection to a port of the Pod; one that finds no way to it is held for a while.

        Raises
        ------
        KubeError
            If the Pod's side failed.
        ConnectionError
            If the local side broke, or there was no way to the Pod; the log says why.
        """
        await asyncio.sleep(max(self._calm_at - time.monotonic(), 0))
        tunnel = self._take() or await self._take_next()
        try:
            if tunnel is not None:
                await tunnel.carry(port, end)
            else:
                pod = await self._identify()
                await carry_alone(self._kube, pod.name, self._namespace, port, end)
        except KubeError as error:
            self._forget_pod()
            if isinstance(error, Unreachable):
                self._calm_at = time.monotonic() + CALM_SECONDS
            raise

    # Giving them away

    def _take(self) -> Tunnel | None:
        ready = upkeep.ready(self._tunnels, time.monotonic())
        if not ready:
            return None
        ready[0].is_taken = True
        if len(ready) <= self._spares:
            self._tell()
        return ready[0]

    async def _take_next(self) -> Tunnel | None:
        """Wait for a tunnel; ``None`` where nobody speaks that."""
        self._waiting += 1
        self._tell()
        try:
            return await within(HOLD_SECONDS, self._wait_for_one())
        except asyncio.TimeoutError as error:
            raise ConnectionAbortedError("There is no way to the Pod.") from error
        finally:
            self._waiting -= 1

    async def _wait_for_one(self) -> Tunnel | None:
        while self._speaks_tunnels:
            if tunnel := self._take():
                return tunnel
            if self._trouble_since is not None and not self._spares:
                raise ConnectionAbortedError("There is no way to the Pod.")
            await self._news.wait()
        return None

    def _tell(self) -> None:
        """Wake everybody who waits for something to change."""
        self._news.set()
        self._news = asyncio.Event()

    # Looking after them

    async def _look_after_them(self) -> None:
        while True:
            news = self._news
            self._look(time.monotonic())
            with contextlib.suppress(asyncio.TimeoutError):
                await within(LOOK_SECONDS, news.wait())

    def _look(self, now: float) -> None:
        for tunnel in self._tunnels:
            if self._pod is not None and tunnel.uid != self._pod.uid:
                tunnel.drop(f"Another Pod has its place: {self._pod.name}.")
        for tunnel in upkeep.forgotten(self._tunnels, now):
            self._forget_pod()
            tunnel.drop("Nobody answers any more on what went this way, though a new one works.")
        for tunnel in upkeep.to_ask(self._tunnels, now):
            tunnel.ask()
        ready = upkeep.ready(self._tunnels, now)
        for tunnel in [each for each in ready if each.is_idle][2 * self._spares + self._waiting :]:
            tunnel.drop("There are enough.")
        if self._speaks_tunnels and now >= self._not_before:
            self._dial(len(ready), now)

    def _dial(self, ready: int, now: float) -> None:
        in_trouble = self._trouble_since is not None
        # Not one for each connection that waits: most last shorter than dialling would.
        wanted = self._spares or min(self._waiting, 1)
        count = upkeep.to_dial(wanted, ready, self._dials, in_trouble, now)
        for _ in range(count):
            self._dials.append(now)
            self._spawn(self._tend(now))
        if count and in_trouble:
            self._not_before = now + next(self._backoff)

    async def _tend(self, dialled: float) -> None:
        """Open a tunnel, and stay with it to its end."""
        try:
            tunnel = await within(DIAL_SECONDS, self._open())
        except Exception as error:
            self._failed(error)
            return
        finally:
            self._dials.remove(dialled)
        self._worked()
        self._tunnels.append(tunnel)
        tunnel.ask()
        self._tell()
        try:
            await tunnel.run()
        except KubeError as error:
            logger.debug("A tunnel into %s is over: %s", self._pod, error)
            if not tunnel.dropped:
                self._forget_pod()
        finally:
            self._tunnels.remove(tunnel)
            self._tell()

    async def _open(self) -> Tunnel:
        pod = await self._identify()
        socket = await self._kube.websocket(
            POD, pod.name, self._namespace, "portforward", {}, [TUNNEL_PROTOCOL]
        )
        return Tunnel(socket, pod.uid, self._tell)

    async def _identify(self) -> PodIdentity:
        """Say which Pod is meant; asks once for as long as nothing fails."""
        async with self._finding:
            if self._pod is None:
                try:
                    self._pod = await within(FIND_SECONDS, self._find())
                except asyncio.TimeoutError as error:
                    raise Unreachable(f"Nobody said within {FIND_SECONDS:g} s which Pod is meant.") from error
            return self._pod

    def _forget_pod(self) -> None:
        """Ask anew which Pod it is, and how it may be reached."""
        self._pod, self._speaks_tunnels = None, True
        self._tell()

    def _failed(self, error: Exception) -> None:
        if refuses_tunnels(error):
            self._speaks_tunnels = False
            self._tell()
            return
        self._forget_pod()
        self._refusal = error if isinstance(error, Forbidden) else None
        if self._trouble_since is not None:
            return
        now = time.monotonic()
        self._not_before = now + next(self._backoff)
        if upkeep.ready(self._tunnels, now):
            logger.debug("A tunnel into %s could not be dialled; others stand: %s", self._pod, error)
            return
        self._trouble_since = now
        logger.log(
            logging.WARNING if self._is_news() else logging.DEBUG,
            "A port-forward has no way to its Pod, and tries again until it has: %s",
            str(error) or f"no answer within {DIAL_SECONDS:g} s",
            exc_info=not isinstance(error, (KubeError, asyncio.TimeoutError)),
        )

    def _worked(self) -> None:
        if self._trouble_since is not None:
            gone = time.monotonic() - self._trouble_since
            logger.warning("A port-forward has found its Pod again, after %.1f s.", gone)
        self._trouble_since, self._refusal, self._not_before = None, None, 0.0
        self._backoff.reset()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def refuses_tunnels(error: Exception) -> bool:
    """Say whether an error means that a server does not know tunnels; those before 1.31 do not.

    Such a server hands the request to the kubelet, whose WebSocket library answers 403 without a Status.
    """
    if isinstance(error, Forbidden):
        return not error.reason
    return isinstance(error, (BadRequest, NoSuchProtocol)) or (
        isinstance(error, ApiError) and error.status in (405, 406, 426, 501)
    )
