"""Waiting for a cluster to come up, with the reasons if it does not, and to go away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from dask_gpu_k8s.api.explain import events_of
from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.lookout import Lookout
from dask_gpu_k8s.cluster.translate import INSTALL
from dask_gpu_k8s.cluster.verdict import Patience, Verdict, judge, operator_has_seen
from dask_gpu_k8s.errors import CloseTimedOut, ClusterNotFound, OperatorNotFound, StartFailed
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError, NotFound

OPERATOR_SECONDS = 15.0
"""How long an operator may take to write the first word to a new DaskCluster."""

LOOK_AGAIN_SECONDS = 1.0
"""Events are not watched, only read, as long as something is amiss."""

LOG_LINES = 10


async def wait_for_operator(lookout: Lookout) -> None:
    """Wait until an operator has taken notice of a DaskCluster.

    Raises
    ------
    OperatorNotFound
        After `OPERATOR_SECONDS`.
    """
    deadline = time.monotonic() + OPERATOR_SECONDS
    while not operator_has_seen(lookout.cluster):
        left = deadline - time.monotonic()
        if left <= 0:
            raise OperatorNotFound(
                f"no operator has taken notice of it for {OPERATOR_SECONDS:g} s",
                where=lookout.where,
                cure=f"Does one run, and does it serve the namespace {lookout.namespace!r}? {INSTALL}",
            )
        await lookout.change(left)


async def wait_for_scheduler(lookout: Lookout, limit: float, say: Callable[[str], None]) -> Manifest:
    """Wait until the scheduler's Pod is Ready: as long as there is progress, and `limit` seconds without.

    Parameters
    ----------
    lookout : Lookout
    limit : float
        Seconds without any progress after which the start has failed.
    say : callable
        Told what is waited for.

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
        if verdict.ready and verdict.pod is not None:
            return verdict.pod
        events = await lookout.events() if verdict.pod is not None else []
        verdict = judge(lookout.cluster, lookout.pods, events)
        now = time.monotonic()
        patience = patience.after(verdict, now)
        if verdict.hopeless or patience.is_over(now):
            raise await _failure(lookout, verdict, events)
        say(f"waiting for the scheduler: {verdict.message or verdict.reason}")
        await lookout.change(min(LOOK_AGAIN_SECONDS, limit))


async def _failure(lookout: Lookout, verdict: Verdict, events: list[Manifest]) -> StartFailed:
    if verdict.pod is None:
        return StartFailed(
            f"the scheduler does not start: {verdict.message}", where=lookout.where, reason=verdict.reason
        )
    pod = verdict.pod["metadata"]["name"]
    about = events_of(verdict.pod, events)
    last = about[-1] if about else {}
    return StartFailed(
        f"the scheduler does not start: Pod {pod} ({verdict.reason}): {verdict.message}",
        where=lookout.where,
        cure=f"See `kubectl -n {lookout.namespace} describe pod {pod}`.",
        pod=pod,
        reason=verdict.reason,
        event=str(last.get("message") or last.get("note") or ""),
        log=await _last_lines(lookout.kube, verdict.pod),
    )


async def _last_lines(kube: KubeClient, pod: Manifest) -> str:
    """Read the end of a Pod's log, or of its run before, as far as one is allowed to."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    container = pod["spec"]["containers"][0]["name"]
    for previous in (False, True):
        with suppress(KubeError):
            text = await kube.logs(name, namespace, container=container, tail=LOG_LINES, previous=previous)
            if text.strip():
                return text.rstrip()
    return ""


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
