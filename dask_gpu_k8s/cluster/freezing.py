"""A set of workers that stays as it is, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.holds import hold
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.errors import DaskClusterError
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.errors import KubeError, NotFound
from dask_gpu_k8s.kube.within import ended

if TYPE_CHECKING:
    from dask_gpu_k8s.cluster.cluster import KubeCluster
    from dask_gpu_k8s.cluster.groups import Groups
    from dask_gpu_k8s.kube.client import KubeClient

logger = logging.getLogger(__name__)

HOLD_SECONDS = 120.0
"""For how long a client that died holds workers."""

RENEW_SECONDS = 30.0


class Hold:
    """One holder of the workers of one cluster.

    Parameters
    ----------
    kube : KubeClient
    groups : Groups
        The cluster's.
    namespace, cluster : str
        Where the DaskCluster is, and its name.
    """

    def __init__(self, kube: KubeClient, groups: Groups, namespace: str, cluster: str) -> None:
        self._kube = kube
        self._groups = groups
        self._namespace = namespace
        self._cluster = cluster
        self._where = f"DaskCluster {namespace}/{cluster}"
        self._holder = uuid.uuid4().hex[:10]
        self._renewing: asyncio.Future[None] | None = None

    async def begin(self, seconds: float) -> None:
        """Hold the workers, and wait until none comes or goes any more.

        Raises
        ------
        DaskClusterError
            If that is not so after `seconds`.
        KubeError
        """
        deadline = time.monotonic() + seconds
        # Sizes that were asked for before come first: the operator must not hear of this ahead of them.
        await self._wait(_is_seen, seconds, deadline)
        await self._write()
        self._renewing = asyncio.ensure_future(self._renew())
        try:
            await self._wait(lambda group: self._holder in _holders(group), seconds, deadline)
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        """Let the workers come and go again, which they do soon even if it cannot be said."""
        if self._renewing is not None:
            await ended(self._renewing)
        try:
            with suppress(NotFound):
                await self._patch(None)
        except KubeError as error:
            logger.warning("%s: its workers stay as they are for %g s: %s", self._where, HOLD_SECONDS, error)

    async def _write(self) -> None:
        await self._patch(self._kube.now() + timedelta(seconds=HOLD_SECONDS))

    async def _patch(self, until: datetime | None) -> None:
        await self._kube.patch(DASKCLUSTER, self._cluster, hold(self._holder, until), self._namespace)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._write()
            except KubeError as error:
                logger.warning("%s: its workers may not stay as they are: %s", self._where, error)

    async def _wait(self, is_so: Callable[[Manifest], bool], seconds: float, deadline: float) -> None:
        """Wait until something is so for each group."""
        backoff = Backoff(maximum=1.0)
        while True:
            groups = await self._groups.find_all()
            moving = [group for group in groups if not is_so(group)]
            if not moving:
                return
            if time.monotonic() > deadline:
                raise DaskClusterError(
                    f"its workers are not held still after {seconds:g} s: {'; '.join(map(_state, moving))}",
                    where=self._where,
                    cure="Is its operator as new as this client?",
                )
            await asyncio.sleep(next(backoff))


def _is_seen(group: Manifest) -> bool:
    """Say whether the operator has acted on the group as it is."""
    return bool((group.get("status") or {}).get("observedGeneration") == group["metadata"].get("generation"))


def _holders(group: Manifest) -> list[str]:
    return (group.get("status") or {}).get("frozenBy") or []


def _state(group: Manifest) -> str:
    """Say what a group is about."""
    for condition in ("ScalingDown", "Ready"):
        said = told(group, condition)
        if said.get("status") == ("True" if condition == "ScalingDown" else "False"):
            return f"{group['metadata']['name']}: {said.get('message')}"
    return f"{group['metadata']['name']}: nobody has confirmed it"


class Frozen:
    """The block of ``with cluster.frozen():``, or of ``async with``.

    Parameters
    ----------
    cluster : KubeCluster
    """

    def __init__(self, cluster: KubeCluster) -> None:
        self._cluster = cluster
        self._hold: Hold | None = None

    def __enter__(self) -> None:
        if self._cluster.asynchronous:
            raise TypeError("in the cluster's own event loop, write `async with cluster.frozen():`")
        self._cluster.sync(self.__aenter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.sync(self.__aexit__, kind, error, trace)

    async def __aenter__(self) -> None:
        self._hold = await self._cluster._session.freeze()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hold is not None:
            await self._cluster._session.thaw(self._hold)
