"""Keep a store like the API server: list once, then watch, for as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import TypeAlias

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.client import PAGE, KubeClient
from dask_gpu_k8s.kube.errors import ApiError, Forbidden, Gone, KubeError
from dask_gpu_k8s.kube.store import Change, Store, object_key
from dask_gpu_k8s.kube.streams import SILENCE_SECONDS, WATCH_SECONDS
from dask_gpu_k8s.kube.urls import ALL_NAMESPACES, Selector

logger = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[Manifest | None, Manifest | None], None]
"""Called with an object as it was and as it is; ``None`` where there was or is none."""

SHORT_WATCH_SECONDS = 1.0
"""A watch that ends sooner and brings nothing is not worth resuming at once."""

RELIST_SECONDS = 1800.0
"""Age of a list at which it is taken anew: if a proxy ever swallows an event, it is not missed for ever."""


class Reflector:
    """Follows one kind of object into a store.

    Lists page by page and brings the store to what was listed, then watches from there. A watch
    that ends is resumed where it stopped, without a list. Where the server has forgotten that
    point (410), it is listed again, and what vanished meanwhile is reported as deleted; likewise
    where a watch was silent, for that may have been a dead one, and its successor may be no better.
    After any other failure it waits a while and resumes. It never gives up: it ends when it is
    cancelled. Run again, it begins with a list.

    Parameters
    ----------
    kube : KubeClient
    resource : Resource
        Kind of the objects.
    namespace : str, optional
        Where to look; by default everywhere.
    labels, fields : mapping or str, optional
        Selectors.
    on_change : callable, optional
        Called after each change of the store.
    silence_seconds : float, optional
        How long a watch may be silent before it is listed anew.
    relist_seconds : float, optional
        Age of a list at which it is taken anew, though nothing seems wrong.

    Attributes
    ----------
    store : Store
        What is there.
    synced : asyncio.Event
        Set once the store holds what the server has.
    last_contact : float
        When the server last said anything, in seconds of `time.monotonic`; ``-inf`` if never.
    last_error : KubeError or None
        Why it is not following at the moment.
    on_refused : callable, optional
        Told in place of the log each time that the server does not allow it to follow.
    """

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        *,
        namespace: str = ALL_NAMESPACES,
        labels: Selector | None = None,
        fields: Selector | None = None,
        on_change: OnChange | None = None,
        silence_seconds: float = SILENCE_SECONDS,
        relist_seconds: float = RELIST_SECONDS,
    ) -> None:
        self.store = Store()
        self.synced = asyncio.Event()
        self.last_contact = float("-inf")
        self.last_error: KubeError | None = None
        self.on_refused: Callable[[Forbidden], None] | None = None
        self._kube = kube
        self._resource = resource
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._on_change = on_change
        self._silence = silence_seconds
        self._relist = relist_seconds
        self._listed = float("-inf")
        self._backoff = Backoff()
        self._version: str | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        self.synced.clear()
        self._version = None
        while True:
            try:
                if self._version is None or self._is_silent() or self._is_old():
                    await self._list()
                if await self._watch():
                    continue
            except KubeError as error:
                if _is_too_old(error):
                    self._version = None
                else:
                    self._report(error)
            await asyncio.sleep(next(self._backoff))

    async def _list(self) -> None:
        asked = time.monotonic()
        answer = await self._kube.list(
            self._resource, self._namespace, labels=self._labels, fields=self._fields
        )
        self._heard()
        objects = {object_key(item): _strip(item) for item in answer["items"]}
        for change in self.store.retain(objects):
            self._tell(change)
        for index, obj in enumerate(objects.values()):
            if index % PAGE == 0:
                await asyncio.sleep(0)  # Ten thousand at once would hold up everybody else.
            self._put(obj)
        self._version = answer["metadata"]["resourceVersion"]
        self._listed = asked
        self.synced.set()

    async def _watch(self) -> bool:
        """Watch until the server ends it; say whether that is reason to resume at once."""
        started = time.monotonic()
        useful = False
        events = self._kube.watch(
            self._resource,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            resource_version=self._version,
            timeout_seconds=self._watch_seconds(),
            silence_seconds=self._silence,
            opened=self._heard,
        )
        async with contextlib.aclosing(events):
            async for event in events:
                self._heard()
                self._backoff.reset()
                self._version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    useful = True
                    self._apply(event)
        return useful or time.monotonic() - started >= SHORT_WATCH_SECONDS

    def _is_silent(self) -> bool:
        # The connection's own clock, which ends a silent watch, was set a little before ours.
        return time.monotonic() - self.last_contact >= 0.9 * self._silence

    def _is_old(self) -> bool:
        return time.monotonic() - self._listed >= self._relist

    def _watch_seconds(self) -> float:
        """Return for how long to watch; drawn anew, so that many watches do not end together."""
        left = self._listed + self._relist - time.monotonic()
        return max(1.0, min(random.uniform(*WATCH_SECONDS), left))

    def _apply(self, event: Manifest) -> None:
        obj = _strip(event["object"])
        if event["type"] == "DELETED":
            if self.store.remove(object_key(obj)) is not None:
                self._tell((obj, None))
            return
        self._put(obj)

    def _put(self, obj: Manifest) -> None:
        change = self.store.put(obj)
        if change is not None:
            self._tell(change)

    def _tell(self, change: Change) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(*change)
        except Exception:
            # A subscriber's fault must not stop everybody else's news.
            logger.exception("A subscriber to %s failed.", self._resource.full_name)

    def _heard(self) -> None:
        self.last_contact = time.monotonic()
        self.last_error = None

    def _report(self, error: KubeError) -> None:
        """Log an error, once as long as it stays the same."""
        if self.on_refused is not None and isinstance(error, Forbidden):
            self.last_error = error
            self.on_refused(error)
            return
        level = logging.DEBUG if str(error) == str(self.last_error) else logging.WARNING
        logger.log(level, "Following %s is interrupted: %s", self._resource.full_name, error)
        self.last_error = error


def _strip(obj: Manifest) -> Manifest:
    """Drop managedFields: often half of an object, and of no use here."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def _is_too_old(error: KubeError) -> bool:
    """Say whether a version cannot be resumed from: forgotten, or from the future of a restored server."""
    if isinstance(error, Gone):
        return True
    causes = error.details.get("causes") or [] if isinstance(error, ApiError) else []
    return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes)
