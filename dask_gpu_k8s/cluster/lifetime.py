"""What becomes of clusters that nobody closed, when the process leaves.

Whichever way the process leaves, by the end of the script, an exception, ``sys.exit`` or SIGTERM, what it
created is deleted within `LIMIT` seconds. At that time the user's event loop may be gone or stuck, and
Python starts no threads any more (since 3.12 it refuses to, and its thread pools are shut down in every
version). So a fresh loop is run in the leaving thread, and that loop does in place what others would
hand to a thread, above all looking up the server's name.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.kube.errors import Conflict, KubeError, NotFound

if TYPE_CHECKING:
    from dask_gpu_k8s.kube.client import KubeClient
    from dask_gpu_k8s.kube.config import Connection

logger = logging.getLogger(__name__)

LIMIT = 10.0
"""Seconds that leaving may take."""


@dataclass(frozen=True)
class Remains:
    """A DaskCluster to delete, and how to reach its API server."""

    connection: Connection
    namespace: str
    name: str
    uid: str


class Leaving(Protocol):
    """What this module asks of a cluster."""

    def _begin_leaving(self) -> Remains | None:
        """Count as closing from now on; say what is to be deleted, ``None`` for a cluster that stays."""

    def _abandon(self, timeout: float) -> None:
        """Drop the connection, from whatever thread, within `timeout` seconds; count as closed."""


# Strong references: a cluster that went out of sight unclosed is deleted all the same.
_open: set[Leaving] = set()


def register(cluster: Leaving) -> None:
    """Have a cluster looked after when the process leaves."""
    _open.add(cluster)


def forget(cluster: Leaving) -> None:
    """Stop looking after a cluster, which is closed."""
    _open.discard(cluster)


def leave(clusters: Iterable[Leaving], limit: float = LIMIT) -> None:
    """Delete what clusters leave behind and drop their connections. Never raises.

    Parameters
    ----------
    clusters : iterable
        Open ones.
    limit : float, optional
        Seconds this may take.
    """
    deadline = time.monotonic() + limit
    clusters = list(clusters)
    remains = [found for found in (cluster._begin_leaving() for cluster in clusters) if found]
    if remains:
        _delete(remains, limit * 0.8)
    for cluster in clusters:
        try:
            cluster._abandon(max(0.1, deadline - time.monotonic()))
        except Exception:
            logger.debug("Dropping the connection of %r failed.", cluster, exc_info=True)
        forget(cluster)


def _delete(remains: list[Remains], limit: float) -> None:
    loop = _InPlaceLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(_delete_all(remains), limit))
    except Exception as error:
        names = ", ".join(f"{one.namespace}/{one.name}" for one in remains)
        logger.warning("Could not delete %s %s: %r", DASKCLUSTER.kind, names, error)
    finally:
        loop.close()


async def _delete_all(remains: list[Remains]) -> None:
    await asyncio.gather(*map(_delete_one, remains))


async def _delete_one(one: Remains) -> None:
    from dask_gpu_k8s.kube.client import KubeClient  # loaded already, by whoever made the cluster

    kube = KubeClient(one.connection)
    try:
        await delete_cluster(kube, one)
    except KubeError as error:
        logger.warning(
            "Could not delete it (%s). By hand: kubectl -n %s delete %s %s",
            error,
            one.namespace,
            DASKCLUSTER.full_name,
            one.name,
        )
    finally:
        await kube.close()


async def delete_cluster(kube: KubeClient, one: Remains) -> None:
    """Delete a DaskCluster, but no other one that has its name by now.

    Raises
    ------
    KubeError
        Unless it is gone already.
    """
    with suppress(NotFound, Conflict):
        await kube.delete(DASKCLUSTER, one.name, one.namespace, uid=one.uid, propagation="Background")


class _InPlaceLoop(asyncio.SelectorEventLoop):
    """An event loop that uses no thread: what others hand to one is done in place."""

    def run_in_executor(  # type: ignore[override]  # typeshed asks for a type variable of 3.11
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


@atexit.register
def _at_exit() -> None:
    leave(_open)


def watch_sigterm() -> None:
    """Install the handler for SIGTERM, in the main thread and over the default one only."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    if _open:
        # Here in the main thread an event loop may be running; another cannot be run inside it.
        leaving = threading.Thread(target=leave, args=(list(_open),), daemon=True)
        leaving.start()
        leaving.join(LIMIT)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


# A forked child owns nothing: without this a pool's terminated worker would delete its parent's cluster.
os.register_at_fork(after_in_child=_open.clear)
