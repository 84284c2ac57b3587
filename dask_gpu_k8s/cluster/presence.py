"""That a DaskCluster is gone, and why, for whoever still uses it."""

from __future__ import annotations

import asyncio

from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.reflector import Reflector
from dask_gpu_k8s.kube.within import ended


async def until_gone(kube: KubeClient, cluster: Manifest) -> str:
    """Wait until a DaskCluster is there no more.

    Parameters
    ----------
    kube : KubeClient
    cluster : Manifest
        As created or found; another one of its name does not count.

    Returns
    -------
    str
        Why it is gone, as a sentence.
    """
    metadata = cluster["metadata"]
    gone = asyncio.Event()
    last = cluster

    def note(old: Manifest | None, new: Manifest | None) -> None:
        nonlocal last
        last = old or last
        if new is None or new["metadata"]["uid"] != metadata["uid"]:
            gone.set()

    reflector = Reflector(
        kube,
        DASKCLUSTER,
        namespace=metadata["namespace"],
        fields={"metadata.name": metadata["name"]},
        on_change=note,
    )
    reflector.on_refused = missing.tell
    following = asyncio.create_task(reflector.run())
    try:
        await reflector.synced.wait()
        if len(reflector.store):
            await gone.wait()
    finally:
        await ended(following)
    return _why(last)


def _why(cluster: Manifest) -> str:
    """Say why a cluster went: in the operator's words, if it was the operator who ended it."""
    ending = told(cluster, "Ending")
    return str(ending["message"]) if ending.get("status") == "True" else "It was deleted."
