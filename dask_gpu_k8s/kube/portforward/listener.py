"""Local ports whose connections end at ports of a Pod."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType

from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.portforward.local import LocalEnd
from dask_gpu_k8s.kube.portforward.tunnels import PodIdentity, Tunnels

logger = logging.getLogger(__name__)

LOCALHOST = "127.0.0.1"

SPARES = 4
"""Tunnels that stand ready. An idle one costs its node some 100 kB; opening one takes it some 14 ms."""

LASTING_SECONDS = 1.0
"""A connection that failed after that was none that could not be made."""


class PortForward:
    """Listens on 127.0.0.1 and carries each connection to a Pod, whichever is meant at the time.

    The local ports stay, whatever becomes of the Pod and of the way to it. A connection that comes while
    there is no way is held for half a minute. One that fails is reset, so that its end cannot be taken for a
    clean one, and logged; the others stay.

    Parameters
    ----------
    kube : KubeClient
        Has to stay open as long as this does.
    target : PodIdentity or callable
        The Pod; or a coroutine function that says which it is, asked at first and after errors.
    ports : mapping of int to int
        Ports of the Pod, each with the local port to listen on; 0 for a free one.
    namespace : str, optional
        Namespace of the Pod; by default the client's.
    spares : int, optional
        How many tunnels stand ready for the connections to come.
    is_news : callable, optional
        Asked before it is logged that there is no way to the Pod: who is about to delete it knows that.

    Attributes
    ----------
    local_ports : dict of int to int
        Ports of the Pod, each with the port it listens on for it, once started.
    """

    def __init__(
        self,
        kube: KubeClient,
        target: PodIdentity | Callable[[], Awaitable[PodIdentity]],
        ports: Mapping[int, int],
        *,
        namespace: str | None = None,
        spares: int = SPARES,
        is_news: Callable[[], bool] = lambda: True,
    ) -> None:
        self.local_ports = dict(ports)
        find = _always(target) if isinstance(target, PodIdentity) else target
        self._tunnels = Tunnels(kube, find, namespace or kube.namespace, spares, is_news)
        self._listeners: list[_Listener] = []

    async def __aenter__(self) -> PortForward:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen, and begin to look for the Pod.

        Raises
        ------
        OSError
            If a local port is taken.
        """
        self._tunnels.start()
        for port, local in self.local_ports.items():
            listener = _Listener(functools.partial(self._tunnels.carry, port), f"port {port}")
            self._listeners.append(listener)
            self.local_ports[port] = await listener.start(local)

    async def settled(self) -> None:
        """Wait until there is a way to the Pod, or it is clear that there is none at the moment.

        Raises
        ------
        Forbidden
            If there will be none, for want of a right.
        """
        await self._tunnels.settled()

    async def close(self) -> None:
        """Stop listening and end all connections; nothing is left of them afterwards."""
        listeners, self._listeners = self._listeners, []
        await asyncio.gather(*(listener.close() for listener in listeners))
        await self._tunnels.close()


def _always(pod: PodIdentity) -> Callable[[], Awaitable[PodIdentity]]:
    async def find() -> PodIdentity:
        return pod

    return find


class _Listener:
    """One local port."""

    def __init__(self, carry: Callable[[LocalEnd], Awaitable[None]], where: str) -> None:
        self._carry = carry
        self._where = where
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._backoff = Backoff(maximum=1.0)
        self._not_before = 0.0
        self._complaint = ""

    async def start(self, port: int) -> int:
        loop = asyncio.get_running_loop()
        # In two steps: cancelled within the first, asyncio would leave a socket that listens.
        self._server = await loop.create_server(
            lambda: LocalEnd(self._accept), LOCALHOST, port, start_serving=False
        )
        await self._server.start_serving()
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, end: LocalEnd) -> None:
        task = asyncio.create_task(self._serve(end))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: end.reset())  # One that is cancelled at once never begins.

    async def _serve(self, end: LocalEnd) -> None:
        started = time.monotonic()
        try:
            if started < self._not_before:
                # Dask's clients try again ten times a second.
                await asyncio.sleep(self._not_before - started)
            await self._carry(end)
            self._backoff.reset()
            self._complaint = ""
        except ConnectionError:
            # The local side went away, which is its right; or the log says already why there is no way.
            end.reset()
        except Exception as error:
            end.reset()
            self._complain(error, time.monotonic() - started)
        except asyncio.CancelledError:
            end.reset()
            raise
        finally:
            await end.close()

    def _complain(self, error: Exception, seconds: float) -> None:
        if seconds > LASTING_SECONDS:
            self._backoff.reset()
        self._not_before = time.monotonic() + next(self._backoff)
        if str(error) != self._complaint:
            self._complaint = str(error)
            is_bug = not isinstance(error, KubeError)
            logger.warning("A connection to %s of the Pod failed: %s", self._where, error, exc_info=is_bug)
