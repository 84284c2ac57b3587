"""The sign of life of a client, by which a DaskCluster with a ``ttl`` stays.

It is the ``renewTime`` of a Lease that all clients of the cluster share: whoever renews last counts. The
operator deletes the cluster when that is ``ttl`` seconds ago, by its own clock; so we go by the API server's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, LEASE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, KubeError, NotFound
from dask_gpu_k8s.kube.lease import renew_time
from dask_gpu_k8s.kube.within import within

logger = logging.getLogger(__name__)

LONGEST_INTERVAL = 30.0
"""Seconds between two renewals of a long ttl."""


class Heartbeat:
    """Renews the Lease of a DaskCluster.

    Parameters
    ----------
    kube : KubeClient
    cluster : Manifest
        The DaskCluster, as created or found, with a ``ttl``.
    """

    def __init__(self, kube: KubeClient, cluster: Manifest) -> None:
        self._kube = kube
        self._metadata = cluster["metadata"]
        self._ttl = int(cluster["spec"]["ttl"])
        self._interval = min(LONGEST_INTERVAL, self._ttl / 3)
        self._name = names.client_lease(self._metadata["name"])

    async def beat(self) -> None:
        """Renew the Lease, which the first client makes.

        Raises
        ------
        KubeError
        asyncio.TimeoutError
        """
        # Over a connection that a laptop's sleep has killed no answer comes.
        await within(max(1.0, self._interval), self._renew())

    async def run(self) -> None:
        """Renew it again and again, until cancelled; trouble is logged once as long as it lasts."""
        trouble = ""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.beat()
                trouble = ""
            except (KubeError, asyncio.TimeoutError) as error:
                if not trouble:
                    logger.warning("%s", self.warning(error))
                trouble = str(error) or "no answer in time"

    def warning(self, error: BaseException) -> str:
        """Say what follows from a renewal that failed."""
        return (
            f"DaskCluster {self._metadata['namespace']}/{self._metadata['name']} is deleted {self._ttl} s "
            f"after the last sign of life of its clients (spec.ttl), and this one can give none: "
            f"{str(error) or 'the API server does not answer in time'}"
        )

    async def _renew(self) -> None:
        spec = {
            "holderIdentity": f"{socket.gethostname()}-{os.getpid()}",
            "leaseDurationSeconds": self._ttl,
            "renewTime": renew_time(self._kube.now()),
        }
        namespace = self._metadata["namespace"]
        try:
            await self._kube.patch(LEASE, self._name, {"spec": spec}, namespace)
        except NotFound:
            try:
                await self._kube.create(LEASE, self._make(spec), namespace)
            except AlreadyExists:
                await self._kube.patch(LEASE, self._name, {"spec": spec}, namespace)

    def _make(self, spec: Manifest) -> Manifest:
        owner = {
            "apiVersion": DASKCLUSTER.api_version,
            "kind": DASKCLUSTER.kind,
            "name": self._metadata["name"],
            "uid": self._metadata["uid"],
        }
        return {
            "metadata": {
                "name": self._name,
                "labels": labels.of_cluster(self._metadata["name"]),
                "ownerReferences": [owner],
            },
            "spec": spec,
        }
