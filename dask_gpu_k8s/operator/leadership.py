"""Of several operators for the same resources one works; the others are ready to."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.lease import Lease, LeaseLost, Times

logger = logging.getLogger(__name__)


async def lead(
    kube: KubeClient,
    name: str,
    duration: float,
    work: Callable[[], Awaitable[None]],
    *,
    stop: asyncio.Event,
    lost: Callable[[], None],
) -> None:
    """Work whenever this process leads, until `stop` is set.

    Parameters
    ----------
    kube : KubeClient
    name : str
        Of the Lease, in the operator's own namespace.
    duration : float
        Seconds after which a leader that says nothing is given up.
    work : callable
        Ends soon after `stop` is set; cancelled when leadership is lost.
    stop : asyncio.Event
    lost : callable
        Called whenever leadership was lost.

    Raises
    ------
    Exception
        Whatever the work raised.
    """
    async with _open_lease(kube, name, duration) as lease:
        while not stop.is_set():
            try:
                await _hold(lease, work, stop)
            except LeaseLost as error:
                lost()
                logger.warning("Leadership was lost and the work has stopped: %s", error)


async def _hold(lease: Lease, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    holding = asyncio.ensure_future(lease.hold(work))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({holding, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if lease.is_held:
            await asyncio.wait({holding})
    finally:
        stopping.cancel()
        # Once alone: a second time would disturb it in giving the Lease back.
        holding.cancel()
        await asyncio.wait({holding, stopping})
    if not holding.cancelled():
        holding.result()


@asynccontextmanager
async def _open_lease(kube: KubeClient, name: str, duration: float) -> AsyncIterator[Lease]:
    """Open a Lease, with connections of its own: renewals wait behind nobody."""
    namespace = os.environ.get("POD_NAMESPACE") or kube.namespace
    times = Times(duration, deadline=duration * 2 / 3, period=duration / 6)
    own = KubeClient(kube.connection)
    own.on_call = kube.on_call
    try:
        yield Lease(own, namespace, name, identity(), times)
    finally:
        await own.close()


def identity() -> str:
    """Return who we are: a Pod, of which there is one process at a time, else this process alone."""
    pod, uid = os.environ.get("POD_NAME"), os.environ.get("POD_UID")
    return f"{pod}_{uid}" if pod and uid else f"{socket.gethostname()}_{secrets.token_hex(8)}"
