"""What the Pods of a cluster have written."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed.utils import Log, Logs

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.ends import is_running
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError


async def collect_logs(kube: KubeClient, namespace: str, cluster: str) -> Any:
    """Read the logs of all Pods of a cluster.

    Returns
    -------
    distributed.utils.Logs
        By Pod name. Where a Pod has several containers, each one's part has a heading; where it has
        written nothing yet, the text says so.
    """
    pods = (await kube.list(POD, namespace, labels=labels.of_cluster(cluster)))["items"]
    texts = await asyncio.gather(*(_pod_log(kube, pod) for pod in pods))
    return Logs({pod["metadata"]["name"]: Log(text) for pod, text in zip(pods, texts, strict=True)})


async def _pod_log(kube: KubeClient, pod: Manifest) -> str:
    phase = pod.get("status", {}).get("phase") or "Pending"
    if phase == "Pending":
        return "Not running yet; its phase is Pending."
    names = [container["name"] for container in pod["spec"]["containers"]]
    texts = await asyncio.gather(*(_container_log(kube, pod, name) for name in names))
    if len(names) == 1:
        return texts[0]
    return "\n".join(f"==> {name} <==\n{text}" for name, text in zip(names, texts, strict=True))


async def _container_log(kube: KubeClient, pod: Manifest, container: str) -> str:
    metadata = pod["metadata"]
    try:
        return await kube.logs(metadata["name"], metadata["namespace"], container=container)
    except KubeError as error:
        missing.tell(error)
        return f"The log cannot be read: {error}"


async def last_lines(kube: KubeClient, pod: Manifest, container: str, lines: int, *, ended: bool) -> str:
    """Read the end of a container's log, as far as one is allowed to; empty if there is nothing.

    Parameters
    ----------
    kube : KubeClient
    pod : Manifest
    container : str
        Name of the container.
    lines : int
        How many at most.
    ended : bool
        Whether its last run that has ended is asked for, which by now may be the one before; else it is
        that which wrote last.
    """
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    first = ended and is_running(pod, container)
    for previous in (first, not first):
        try:
            text = await kube.logs(name, namespace, container=container, tail=lines, previous=previous)
        except KubeError as error:
            missing.tell(error)
        else:
            if text.strip():
                return text.rstrip()
    return ""
