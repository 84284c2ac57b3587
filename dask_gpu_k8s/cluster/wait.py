"""Waiting for a cluster to come up, with the reasons if it does not, and to go away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from dask_gpu_k8s.api.explain import events_of
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.absence import why_unseen
from dask_gpu_k8s.cluster.logs import last_lines
from dask_gpu_k8s.cluster.lookout import Lookout
from dask_gpu_k8s.cluster.verdict import Patience, Verdict, judge, operator_has_seen
from dask_gpu_k8s.errors import CloseTimedOut, ClusterNotFound, StartFailed
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound

OPERATOR_SECONDS = 15.0
"""How long an operator may take to write the first word to a new DaskCluster."""

LOOK_AGAIN_SECONDS = 1.0
"""Events are not watched, only read, as long as something is amiss."""

LOG_LINES = 10


async def wait_for_operator(lookout: Lookout) -> None:
    """Wait until an operator has taken notice of a DaskCluster.

    Raises
    ------
    OperatorNotFound, CRDsMissing
        After `OPERATOR_SECONDS`, with the reason as far as it can be seen.
    """
    deadline = time.monotonic() + OPERATOR_SECONDS
    while not operator_has_seen(lookout.cluster):
        left = deadline - time.monotonic()
        if left <= 0:
            raise await why_unseen(lookout.kube, lookout.namespace, lookout.where, OPERATOR_SECONDS)
        await lookout.change(left)


async def wait_for_scheduler(lookout: Lookout, limit: float, tell: Callable[[Verdict], None]) -> Manifest:
    """Wait until the scheduler's Pod is Ready, as long as there is progress; see `verdict`.

    Parameters
    ----------
    lookout : Lookout
    limit : float
        Seconds without any progress after which the start has failed.
    tell : callable
        Told how it stands.

    Returns
    -------
    Manifest
        The Pod.

    Raises
    ------
    StartFailed
        With the Pod's reason, its last event and the end of its log.
    """
    patience = Patience(limit)
    while True:
        verdict = judge(lookout.cluster, lookout.pods, ())
        if verdict.state == "ready" and verdict.pod is not None:
            return verdict.pod
        events = await lookout.events(verdict.pod) if verdict.pod is not None else []
        verdict = judge(lookout.cluster, lookout.pods, events)
        now = time.monotonic()
        patience = patience.after(verdict, now)
        if patience.is_over(now):
            raise await _failure(lookout, verdict, events)
        tell(verdict)
        await lookout.change(min(LOOK_AGAIN_SECONDS, limit))


async def _failure(lookout: Lookout, verdict: Verdict, events: list[Manifest]) -> StartFailed:
    if verdict.pod is None:
        return StartFailed(
            f"the scheduler does not start: {verdict.message}", where=lookout.where, reason=verdict.reason
        )
    pod = verdict.pod["metadata"]["name"]
    about = events_of(verdict.pod, events)
    last = about[-1] if about else {}
    container = verdict.container or verdict.pod["spec"]["containers"][0]["name"]
    return StartFailed(
        f"the scheduler does not start: Pod {pod} ({verdict.reason}): {verdict.message}",
        where=lookout.where,
        cure=f"See `kubectl -n {lookout.namespace} describe pod {pod}`.",
        pod=pod,
        reason=verdict.reason,
        event=str(last.get("message") or last.get("note") or ""),
        log=await last_lines(lookout.kube, verdict.pod, container, LOG_LINES, ended=bool(verdict.ends)),
    )


async def wait_until_gone(kube: KubeClient, cluster: Manifest, timeout: float) -> None:
    """Wait until a DaskCluster that was deleted is there no more.

    Raises
    ------
    CloseTimedOut
        After `timeout` seconds.
    """
    metadata = cluster["metadata"]
    with suppress(NotFound):
        left = await kube.get(DASKCLUSTER, metadata["name"], metadata["namespace"])
        if left["metadata"]["uid"] != metadata["uid"]:
            return
        # Somebody's finalizer holds it.
        try:
            await asyncio.wait_for(_see_it_go(kube, left), timeout)
        except asyncio.TimeoutError:
            raise CloseTimedOut(
                f"it was deleted, and is still there after {timeout:g} s",
                where=f"DaskCluster {metadata['namespace']}/{metadata['name']}",
                cure=f"Its finalizers hold it: {left['metadata'].get('finalizers')}.",
            ) from None


async def _see_it_go(kube: KubeClient, cluster: Manifest) -> None:
    async with Lookout(kube, cluster) as lookout:
        await lookout.synced()
        with suppress(ClusterNotFound):
            while lookout.cluster:
                await lookout.change(LOOK_AGAIN_SECONDS)
