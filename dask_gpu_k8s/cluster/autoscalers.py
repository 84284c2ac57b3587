"""The autoscalers of a cluster, as they are in Kubernetes; the operator acts upon them."""

from __future__ import annotations

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKAUTOSCALER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing
from dask_gpu_k8s.cluster.adaptivity import Adaptivity
from dask_gpu_k8s.cluster.translate import in_plain_words
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden, NotFound


class Autoscalers:
    """The autoscalers of one cluster, as they are in Kubernetes.

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

    async def adapt(self, group: str, bounds: Adaptivity) -> None:
        """Let a group be scaled between bounds: by the autoscaler that it has, or else by a new one."""
        limits = {"minimum": bounds.minimum, "maximum": bounds.maximum}
        with in_plain_words(f"autoscaler of {self._namespace}/{names.worker_group(self._cluster, group)}"):
            there = await self._of(group)
            if not there:
                await self._kube.create(DASKAUTOSCALER, self._make(group, limits), self._namespace)
            for each in there:
                name = each["metadata"]["name"]
                await self._kube.patch(DASKAUTOSCALER, name, {"spec": limits}, self._namespace)

    async def end(self, group: str) -> None:
        """Let nobody but its user scale a group; who may not even look whether somebody does lets it be."""
        with in_plain_words(f"autoscaler of {self._namespace}/{names.worker_group(self._cluster, group)}"):
            try:
                there = await self._of(group)
            except Forbidden as error:
                missing.tell(error)
                return
            except NotFound:
                return
            for each in there:
                try:
                    await self._kube.delete(DASKAUTOSCALER, each["metadata"]["name"], self._namespace)
                except NotFound:
                    continue

    async def bounds(self) -> dict[str, Adaptivity]:
        """Return the bounds of those groups that have an autoscaler, by the full name of the group."""
        with in_plain_words(f"autoscalers of {self._namespace}/{self._cluster}"):
            by_age = sorted(await self._all(), key=lambda each: each["metadata"]["creationTimestamp"])
        # Of several for one group, the oldest works: it comes last, and stays.
        return {
            names.autoscaled_group(each["spec"]): Adaptivity(each["spec"]["minimum"], each["spec"]["maximum"])
            for each in reversed(by_age)
        }

    async def _of(self, group: str) -> list[Manifest]:
        full = names.worker_group(self._cluster, group)
        return [each for each in await self._all() if names.autoscaled_group(each["spec"]) == full]

    async def _all(self) -> list[Manifest]:
        found = await self._kube.list(DASKAUTOSCALER, self._namespace)
        return [each for each in found["items"] if each["spec"]["cluster"] == self._cluster]

    def _make(self, group: str, limits: dict[str, int]) -> Manifest:
        full = names.worker_group(self._cluster, group)
        is_default = group == names.DEFAULT_GROUP
        return {
            "apiVersion": DASKAUTOSCALER.api_version,
            "kind": DASKAUTOSCALER.kind,
            "metadata": {
                "name": self._cluster if is_default else full,
                "labels": labels.of_cluster(self._cluster),
            },
            "spec": {"cluster": self._cluster, **({} if is_default else {"workerGroup": full}), **limits},
        }
