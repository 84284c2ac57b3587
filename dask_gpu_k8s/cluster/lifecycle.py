"""How a cluster object starts, closes and leaves, in whatever loop and in whatever way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.core import Status
from distributed.utils import NoOpAwaitable, sync

from dask_gpu_k8s.cluster import lifetime, loops
from dask_gpu_k8s.cluster.base import SteadyCluster, make_patient, starting_client
from dask_gpu_k8s.cluster.facts import facts
from dask_gpu_k8s.cluster.modes import is_ours
from dask_gpu_k8s.cluster.settings import Settings
from dask_gpu_k8s.cluster.wanted import wanted_manifest
from dask_gpu_k8s.kube.aside import imported
from dask_gpu_k8s.kube.within import despite_cancellation, unhurried

if TYPE_CHECKING:
    from dask_gpu_k8s.cluster.session import Session

Self = TypeVar("Self", bound="LifeCycle")

ABANDON_SECONDS = 2.0
"""How long dropping a connection may take when the process leaves."""


class LifeCycle(SteadyCluster):
    """From created to closed. One task starts it, one closes it, however often either is asked for.

    Attributes
    ----------
    namespace : str or None
        ``None`` until the kubeconfig has been read.
    shutdown_on_close : bool or None
        Whether `close` and the end of the process delete the DaskCluster; may be changed at any time.
        ``None`` until it is known who created it.
    """

    def __init__(self, settings: Settings, *, loop: Any, asynchronous: bool, **options: Any) -> None:
        lifetime.watch_sigterm()
        self._settings = settings
        self._wanted = wanted_manifest(settings)
        metadata = self._wanted["metadata"]
        self.namespace = settings.namespace or metadata.get("namespace")
        self.shutdown_on_close = settings.shutdown_on_close
        self._is_over = False
        self._starting: asyncio.Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._keeper: asyncio.Future[None] | None = None
        self._has_own_thread = not asynchronous

        def take(loop: Any) -> Any:
            SteadyCluster.__init__(
                self, loop=loop, asynchronous=asynchronous, name=metadata["name"], **options
            )
            return self._loop_runner

        if asynchronous or loop is not None:
            take(loop)
        else:
            loops.start_on_shared_loop(take)
        if not asynchronous and not self.called_from_running_loop:
            self._start_now(loop is not None)

    @cached_property
    def _session(self) -> Session:
        """The way to Kubernetes and to the scheduler; it loads all that talks to them."""
        from dask_gpu_k8s.cluster.session import Session

        return Session(self._settings, self._wanted, self.quiet)

    def _start_now(self, is_foreign_loop: bool) -> None:
        if is_foreign_loop:
            self._loop_runner.start()
        try:
            self.sync(self._started)
        except BaseException:
            # Ctrl-C ends the waiting, not the start.
            with suppress(Exception):
                self.sync(self._close, callback_timeout=lifetime.LIMIT)
            self._stop_loop()
            raise

    def __await__(self: Self) -> Generator[Any, None, Self]:
        client = starting_client(sys._getframe(1))
        if client is not None and client.cluster is self:
            make_patient(client)
        return self._started().__await__()

    async def _started(self: Self) -> Self:
        if self._starting is None and self.status is Status.created:
            self._starting = asyncio.ensure_future(self._start())
        if self._starting is not None:
            try:
                await asyncio.shield(self._starting)
            except asyncio.CancelledError:
                # Before Python 3.12 libraries may miss a cancellation: a start that comes to its end all the
                # same is closed like any other.
                await despite_cancellation(asyncio.ensure_future(self._close()), 2 * lifetime.LIMIT)
                raise
        return self

    async def _start(self) -> None:
        if not self._has_own_thread:
            self._keeper = asyncio.ensure_future(self._keep())
        try:
            await imported("dask_gpu_k8s.cluster.session")
            await self._session.connect()
            self.namespace = self._session.namespace
            await self._session.find_or_create()
            self._adopt()
            await self._session.reach_scheduler()
            self.scheduler_comm = self._session.comm
            await unhurried(super()._start())
        except BaseException:
            self.status = Status.closing
            if self._session.has_created:
                # Should this be cut off as well, it goes when the process leaves.
                self.shutdown_on_close = True
                lifetime.register(self)
            await despite_cancellation(asyncio.ensure_future(self._give_up()), 2 * lifetime.LIMIT)
            raise

    async def _give_up(self) -> None:
        await self._session.give_up()
        await self._release()
        self._finish()

    def _adopt(self) -> None:
        """Take over what the DaskCluster says, whoever made it, and answer for it from now on."""
        lifetime.register(self)
        for fact, value in facts(self._session.manifest).items():
            setattr(self, fact, value)
        self.shutdown_on_close = is_ours(
            self.shutdown_on_close,
            created=self._session.has_created,
            keeps_created=self._settings.keep_created,
        )

    # Closing

    async def _keep(self) -> None:
        """Stay until the user's loop shuts down, which cancels all tasks, and disconnect while it runs."""
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if self.status not in (Status.closing, Status.closed):
                await self._close_clients()
                await self._release()
            raise

    def close(self, timeout: float = 3600) -> Any:
        """Disconnect, and delete the cluster if `shutdown_on_close` says so or it was created here.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait until a deleted DaskCluster is gone.

        Returns
        -------
        None or awaitable

        Raises
        ------
        CloseTimedOut
            If the DaskCluster is still there after `timeout` seconds; the connection is closed anyway.
        """
        if self._is_over:
            return NoOpAwaitable() if self.asynchronous else None
        if self.loop.asyncio_loop.is_closed():
            lifetime.leave([self])
            return None
        if self.asynchronous:
            return self.sync(self._close, timeout)
        try:
            self.sync(self._close, timeout)
        finally:
            # After Ctrl-C it goes on in the loop, and may be waited for again.
            if self._is_over:
                self._stop_loop()
        return None

    async def _close(self, timeout: float = 3600) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close_once(timeout))
        await asyncio.shield(self._closing)

    async def _close_once(self, timeout: float) -> None:
        # A start that has not begun yet never will; one that is cut off cleans up.
        self.status = Status.closing
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._is_over:
            return
        try:
            if self.shutdown_on_close:
                await self._session.delete(timeout)
        finally:
            await self._release()
            self._finish()

    async def _release(self) -> None:
        """Close everything that belongs to this process."""
        if self._keeper is not None and self._keeper is not asyncio.current_task():
            self._keeper.cancel()
        await self._disconnect()
        await self._session.close()

    def _finish(self) -> None:
        self.status = Status.closed
        self._is_over = True
        lifetime.forget(self)

    def _stop_loop(self) -> None:
        if self._has_own_thread:
            loops.stop(self._loop_runner)

    # What lifetime asks for when the process leaves

    def _begin_leaving(self) -> lifetime.Remains | None:
        self.status = Status.closing
        self._session.is_leaving = True
        return self._session.remains() if self.shutdown_on_close else None

    def _abandon(self, timeout: float) -> None:
        if self._has_own_thread and self.loop.asyncio_loop.is_running():
            with suppress(Exception):
                sync(self.loop, self._release, callback_timeout=min(timeout, ABANDON_SECONDS))
        self._finish()
        self._stop_loop()

    def __del__(self) -> None:
        """Say nothing: `lifetime` holds what was started until it is closed, so nothing is lost."""
