"""What the operator shows to schedulers that speak TLS: the cluster's own certificate."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable

from dask_gpu_k8s.api.resources import SECRET
from dask_gpu_k8s.api.security import CA, CERTIFICATE, KEY
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.operator.engine.facts import SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.security.renewal import Data, flaw
from dask_gpu_k8s.operator.security.secrets import contents

KEPT = 300.0
"""Seconds for which a certificate is used before its Secret is read again."""


class Credentials:
    """Reads the certificates of clusters, and keeps them for a while.

    Parameters
    ----------
    kube : KubeClient
    clock : callable, optional
        Monotonic time in seconds.
    """

    def __init__(self, kube: KubeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._kept: dict[str, tuple[float, ssl.SSLContext]] = {}

    async def context(self, scheduler: SchedulerAt) -> ssl.SSLContext | None:
        """Return how to speak TLS with a scheduler; ``None`` if it does not.

        Raises
        ------
        SchedulerUnreachable
            If its Secret does not hold what it should.
        KubeError
            If it cannot be read.
        """
        if not scheduler.secret:
            return None
        until, context = self._kept.get(scheduler.uid, (0.0, None))
        if context is None or self._clock() >= until:
            secret = await self._kube.get(SECRET, scheduler.secret, scheduler.namespace)
            held = contents(secret)
            if wrong := flaw(held):
                raise SchedulerUnreachable(f"Secret {scheduler.secret!r} cannot be used: {wrong}")
            context = make_context(held)
            self._kept[scheduler.uid] = (self._clock() + KEPT, context)
        return context

    def forget(self, scheduler_uid: str) -> None:
        """Forget a scheduler that is gone, or that did not like what it was shown."""
        self._kept.pop(scheduler_uid, None)


def make_context(held: Data) -> ssl.SSLContext:
    """Make a client's TLS context: only a scheduler with a certificate of this cluster will do.

    Raises
    ------
    OSError
        If OpenSSL does not like what is held.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=held[CA].decode())
    # As in Dask: a certificate stands for the cluster, and is valid wherever its processes listen.
    context.check_hostname = False
    # OpenSSL takes files only, and the operator's file system cannot be written.
    file = os.memfd_create("certificate")
    try:
        os.write(file, held[KEY] + b"\n" + held[CERTIFICATE])
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
    return context
