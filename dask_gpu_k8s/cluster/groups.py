"""The worker groups of a cluster, as they are in Kubernetes: count, scale, add and remove them."""

from __future__ import annotations

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.arguments import hint
from dask_gpu_k8s.cluster.translate import in_plain_words
from dask_gpu_k8s.errors import ClusterNotFound, DaskClusterError, WorkerGroupExists, WorkerGroupNotFound
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, NotFound


class Groups:
    """The worker groups of one cluster, as they are in Kubernetes.

    Parameters
    ----------
    kube : KubeClient
    namespace, cluster : str
        Where the DaskCluster is, and its name.
    """

    def __init__(self, kube: KubeClient, namespace: str, cluster: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._cluster = cluster

    def _where(self, group: str) -> str:
        return f"worker group {group!r} of {self._namespace}/{self._cluster}"

    async def find_all(self) -> list[Manifest]:
        """Return all groups."""
        found = await self._kube.list(DASKWORKERGROUP, self._namespace)
        return [group for group in found["items"] if group["spec"]["cluster"] == self._cluster]

    async def by_name(self) -> dict[str, Manifest]:
        """Return all groups by their names within the cluster, in the order of these."""
        prefix = names.worker_group(self._cluster, "")
        found = {group["metadata"]["name"].removeprefix(prefix): group for group in await self.find_all()}
        return dict(sorted(found.items()))

    async def find(self, group: str) -> Manifest:
        """Return a group.

        Raises
        ------
        WorkerGroupNotFound
            With the names of the groups there are.
        """
        with in_plain_words(self._where(group)):
            try:
                return await self._kube.get(
                    DASKWORKERGROUP, names.worker_group(self._cluster, group), self._namespace
                )
            except NotFound as error:
                raise await self._not_found(group) from error

    async def scale(self, group: str, n: int) -> None:
        """Ask for `n` workers in a group.

        Raises
        ------
        WorkerGroupNotFound
            With the names of the groups there are.
        """
        full = names.worker_group(self._cluster, group)
        with in_plain_words(self._where(group)):
            try:
                await self._kube.patch(
                    DASKWORKERGROUP, full, {"spec": {"worker": {"replicas": n}}}, self._namespace
                )
            except NotFound as error:
                raise await self._not_found(group) from error

    async def add(self, name: str, manifest: Manifest) -> None:
        """Create a group, which goes when the cluster goes.

        Raises
        ------
        WorkerGroupExists
        """
        with in_plain_words(self._where(name)):
            try:
                await self._kube.create(DASKWORKERGROUP, manifest, self._namespace)
            except AlreadyExists as error:
                raise WorkerGroupExists(
                    "it is there already", where=self._where(name), cure="Scale it, or choose another name."
                ) from error

    async def delete(self, name: str) -> None:
        """Delete a group and its workers.

        Raises
        ------
        WorkerGroupNotFound
            With the names of the groups there are.
        """
        full = names.worker_group(self._cluster, name)
        with in_plain_words(self._where(name)):
            try:
                await self._kube.delete(DASKWORKERGROUP, full, self._namespace, propagation="Background")
            except NotFound as error:
                raise await self._not_found(name) from error

    async def _not_found(self, group: str) -> DaskClusterError:
        there = list(await self.by_name())
        if not there and not await self._is_cluster_there():
            return ClusterNotFound(
                "it was deleted meanwhile", where=f"{DASKCLUSTER.kind} {self._namespace}/{self._cluster}"
            )
        return WorkerGroupNotFound(
            f"there is no such worker group{hint(group, there)}",
            where=self._where(group),
            cure=f"Its groups are {', '.join(there) or 'not made yet'}.",
        )

    async def _is_cluster_there(self) -> bool:
        try:
            await self._kube.get(DASKCLUSTER, self._cluster, self._namespace)
        except NotFound:
            return False
        return True
