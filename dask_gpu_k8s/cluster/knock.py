"""Hear that a scheduler listens from itself: its kubelet asks once a second, and a start takes about that."""

from __future__ import annotations

import asyncio
import logging

from dask_gpu_k8s.api.security import secret_in_use
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.lookout import Lookout
from dask_gpu_k8s.cluster.scheduler_pod import pick_scheduler, pod_ports, runs
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.errors import Forbidden, KubeError
from dask_gpu_k8s.kube.portforward.greeting import greets

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 1.0


async def hear_scheduler(lookout: Lookout) -> Manifest:
    """Knock at the scheduler, once it runs, until it greets.

    Never ends if it cannot be heard: one that speaks TLS waits to be greeted, and not everybody may forward.

    Returns
    -------
    Manifest
        Its Pod.
    """
    may_be_heard = not secret_in_use(lookout.cluster)
    # Each pause is about a tenth of the time that it has taken: one that takes long is asked rarely.
    backoff = Backoff(0.1, factor=1.1)
    while may_be_heard:
        pod = pick_scheduler(lookout.pods, lookout.cluster["metadata"]["uid"])
        if pod is None or not runs(pod):
            backoff.reset()
            await lookout.change(LOOK_AGAIN_SECONDS)
            continue
        try:
            if await greets(lookout.kube, pod, pod_ports(pod)[0]):
                return pod
        except Forbidden:
            may_be_heard = False
        except KubeError as error:
            logger.debug("%s was not heard: %s", lookout.where, error)
        await asyncio.sleep(next(backoff))
    never: asyncio.Future[Manifest] = asyncio.get_running_loop().create_future()
    return await never
