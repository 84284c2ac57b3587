"""How the workers of a cluster stand, as the operator says it, kept up to date."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing
from dask_gpu_k8s.cluster.standing import Standing, of_group, wanted_workers
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.reflector import Reflector

logger = logging.getLogger(__name__)


class Workers:
    """The worker groups of a cluster; used with ``async with``. The log says why workers do not come.

    Parameters
    ----------
    kube : KubeClient
    namespace, cluster : str
        Where the DaskCluster is, and its name.
    """

    def __init__(self, kube: KubeClient, namespace: str, cluster: str) -> None:
        self._where = f"DaskCluster {namespace}/{cluster}"
        self._told: dict[str, str] = {}
        self._groups = Reflector(
            kube,
            DASKWORKERGROUP,
            namespace=namespace,
            labels=labels.of_cluster(cluster),
            on_change=self._tell,
        )
        self._groups.on_refused = missing.tell
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Workers:
        self._task = asyncio.create_task(self._groups.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def count(self) -> int | None:
        """How many workers the cluster is to have in all its groups; ``None`` as long as it is not known."""
        if not self._groups.synced.is_set():
            return None
        return sum(map(wanted_workers, self._groups.store))

    @property
    def standings(self) -> list[Standing]:
        """How each group stands, by name."""
        return sorted(map(of_group, self._groups.store), key=lambda standing: standing.part)

    def _tell(self, old: Manifest | None, new: Manifest | None) -> None:
        """Log why a group has not the workers it should, once for each reason until it has them."""
        if new is None:
            return
        standing = of_group(new)
        if standing.reason == "ClusterNotFound":
            return  # That the cluster is gone is told once, and not where we have deleted it.
        known = self._told.get(standing.part)
        if standing.is_trouble and standing.reason != known:
            self._told[standing.part] = standing.reason
            logger.warning("%s: worker group %s: %s", self._where, standing.part, standing.message)
        elif known and not standing.reason and standing.ready >= standing.wanted:
            del self._told[standing.part]
            logger.info(
                "%s: worker group %s: %d of %d ready",
                self._where,
                standing.part,
                standing.ready,
                standing.wanted,
            )
