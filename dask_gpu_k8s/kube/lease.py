"""Leadership: of all processes that want to work, the one that holds a Lease does.

A leader renews its Lease every `Times.period`. If it could not for `Times.deadline`, for whatever reason, its
work is cancelled; nobody else begins before the Lease was left alone for `Times.duration`, which is longer.
How long that is, everybody measures by their own clock, from when they saw the last change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from dask_gpu_k8s.api.resources import LEASE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from dask_gpu_k8s.kube.within import ended, within

logger = logging.getLogger(__name__)

RELEASED_SECONDS = 1
"""``leaseDurationSeconds`` beside an empty holder: thus a leader that ends lets the next begin at once. An
empty holder alone may be somebody's mistake, and the leader still at work."""


@dataclass(frozen=True)
class Times:
    """How long things take, in seconds.

    Attributes
    ----------
    duration : float
        A Lease unchanged for so long belongs to nobody.
    deadline : float
        A leader that could not renew for so long stops; the difference is for stopping.
    period : float
        Between two looks at the Lease, or two renewals.
    """

    duration: float = 12.0
    deadline: float = 8.0
    period: float = 2.0


class LeaseLost(Exception):
    """The Lease is, or may soon be, somebody else's; the work done under it has been cancelled."""


class Lease:
    """One Lease, as one of those who want to hold it sees it.

    Parameters
    ----------
    kube : KubeClient
        Best one of its own: a renewal must not wait behind other requests.
    namespace, name : str
        Of the Lease; it is created if there is none.
    identity : str
        Who we are. Whoever has the same identity is an earlier self of ours, and dead.
    times : Times, optional
    clock : callable, optional
        Monotonic time in seconds.

    Attributes
    ----------
    is_held : bool
        Whether we hold it now.
    """

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        name: str,
        identity: str,
        times: Times | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_held = False
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._times = times or Times()
        self._clock = clock
        self._seen: str | None = None
        self._seen_at = 0.0
        self._mine: Manifest = {}
        self._renewed_at = 0.0

    async def hold(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, work while holding it, and give it back.

        Parameters
        ----------
        work : callable
            Cancelled when the Lease is lost; that has to take effect soon.

        Raises
        ------
        LeaseLost
            If it was lost before the work ended by itself.
        Exception
            Whatever the work raised.
        """
        await self._acquire()
        working = asyncio.ensure_future(work())
        keeping = asyncio.ensure_future(self._keep())
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(working)
            self.is_held = False
            await ended(keeping)
            await self._release()
        if not working.cancelled() and (crash := working.exception()):
            raise crash
        if not keeping.cancelled():
            keeping.result()

    async def _acquire(self) -> None:
        logger.info("Waiting for the Lease %s/%s, as %s", self._namespace, self._name, self._identity)
        trouble = ""
        while True:
            try:
                if await within(self._times.deadline, self._try()):
                    break
                trouble = ""
            except (KubeError, asyncio.TimeoutError) as error:
                if str(error) != trouble:
                    logger.warning("The Lease cannot be asked for: %s", str(error) or "no answer in time")
                trouble = str(error)
            await asyncio.sleep(self._times.period)
        self.is_held = True
        logger.info("Holding the Lease %s/%s", self._namespace, self._name)

    async def _try(self) -> bool:
        """Take the Lease if it is free; say whether it is ours now."""
        asked = self._clock()
        try:
            lease = await self._kube.get(LEASE, self._name, self._namespace)
        except NotFound:
            lease = None
        if not self._is_free(lease):
            return False
        try:
            if lease is None:
                made = {"metadata": {"name": self._name}, "spec": self._terms({})}
                self._mine = await self._kube.create(LEASE, made, self._namespace)
            else:
                self._mine = await self._write(lease, self._terms(lease.get("spec") or {}))
        except (AlreadyExists, Conflict):
            return False
        self._renewed_at = asked
        return True

    def _is_free(self, lease: Manifest | None) -> bool:
        """Say whether nobody works under it; a Lease that vanished may still have its leader."""
        version = lease["metadata"]["resourceVersion"] if lease else ""
        is_first_look = self._seen is None
        if version != self._seen:
            self._seen, self._seen_at = version, self._clock()
        if lease is None:
            duration = 0.0 if is_first_look else self._times.duration
        else:
            duration = self._time_to_wait(lease.get("spec") or {})
        return self._clock() - self._seen_at >= duration

    def _time_to_wait(self, spec: Manifest) -> float:
        holder, told = spec.get("holderIdentity"), spec.get("leaseDurationSeconds") or 0
        if holder == self._identity or (not holder and told == RELEASED_SECONDS):
            return 0.0
        # Another version of us may take longer; but what nobody of us has written is not waited for.
        return max(self._times.duration, float(told) if told <= 10 * self._times.duration else 0.0)

    async def _keep(self) -> None:
        """Renew until that fails for good.

        Raises
        ------
        LeaseLost
        """
        trouble = ""
        while True:
            await asyncio.sleep(min(self._times.period, max(0.0, self._time_left())))
            left = self._time_left()
            if left <= 0:
                raise LeaseLost(f"It could not be renewed for {self._times.deadline:g} s: {trouble}")
            try:
                await within(left, self._renew())
            except (KubeError, asyncio.TimeoutError) as error:
                trouble = str(error) or "no answer in time"

    def _time_left(self) -> float:
        return self._renewed_at + self._times.deadline - self._clock()

    async def _renew(self) -> None:
        asked = self._clock()
        try:
            await self._write_ours(self._renewal())
        except NotFound as error:
            raise LeaseLost("Somebody deleted it.") from error
        self._renewed_at = asked

    async def _write_ours(self, spec: Manifest) -> None:
        """Write the Lease as long as it is ours, also if its version is another one than we know.

        It may be our own: a renewal that was cut off may have taken effect.
        """
        try:
            self._mine = await self._write(self._mine, spec)
        except Conflict:
            there = await self._kube.get(LEASE, self._name, self._namespace)
            self._check_is_ours(there)
            self._mine = await self._write(there, spec)

    def _check_is_ours(self, lease: Manifest) -> None:
        """Go on only if, whoever changed it, nobody else can have begun since."""
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity")
        if holder and holder != self._identity:
            raise LeaseLost(f"Its holder is {holder!r} now.")
        if not holder and self._time_to_wait(spec) == 0.0:
            raise LeaseLost("Somebody released it.")

    async def _release(self) -> None:
        """Let the next one begin at once, if it is still ours."""
        with contextlib.suppress(KubeError, LeaseLost, asyncio.TimeoutError):
            spec = {"holderIdentity": "", "leaseDurationSeconds": RELEASED_SECONDS, "renewTime": renew_time()}
            await within(self._times.period, self._write_ours(spec))
            logger.info("Released the Lease %s/%s", self._namespace, self._name)

    async def _write(self, lease: Manifest, spec: Manifest) -> Manifest:
        version = lease["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self._kube.patch(LEASE, self._name, patch, self._namespace)

    def _terms(self, old: Manifest) -> Manifest:
        """Write what begins a term of ours."""
        count = old.get("leaseTransitions") or 0
        return {**self._renewal(), "acquireTime": renew_time(), "leaseTransitions": count + 1 if old else 0}

    def _renewal(self) -> Manifest:
        """Write all that others go by, so that what somebody spoilt is mended."""
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._times.duration) or 1,
            "renewTime": renew_time(),
        }


def renew_time(now: datetime | None = None) -> str:
    """Write a time, by default the present, as a Lease's ``renewTime``."""
    return (now or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
