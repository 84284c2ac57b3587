"""What does not come as one answer: watches, logs and WebSockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import aiohttp

from dask_gpu_k8s.api.resources import POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube import urls
from dask_gpu_k8s.kube.errors import ApiError, Unreachable, api_error
from dask_gpu_k8s.kube.lines import Lines
from dask_gpu_k8s.kube.session import CONNECT_SECONDS
from dask_gpu_k8s.kube.transport import Transport
from dask_gpu_k8s.kube.urls import Param, Selector

WATCH_SECONDS = (240.0, 480.0)
"""How long the server is asked to keep a watch open: drawn anew, so that many do not end together."""

SILENCE_SECONDS = 75.0
"""A server sends a bookmark about every minute; a watch silent for longer may be dead, and is given up.

It need not be dead: a server sends none for a kind of which it has never seen an object.
"""


OnCall: TypeAlias = Callable[[str, str, str, float], None]
"""Told of each call: its verb, the resource (with ``/`` and the subresource), the HTTP status (``"none"``
where there was no answer), and the seconds until the answer."""


class Streams:
    """The streaming half of `KubeClient`.

    Parameters
    ----------
    transport : Transport
    namespace : str
        Namespace that is meant where none is said.
    """

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport = transport
        self.namespace = namespace
        self.on_call: OnCall | None = None

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: Selector | None = None,
        fields: Selector | None = None,
        resource_version: str | None = None,
        timeout_seconds: float | None = None,
        silence_seconds: float = SILENCE_SECONDS,
        opened: Callable[[], None] | None = None,
    ) -> AsyncGenerator[Manifest, None]:
        """Follow the changes of a kind's objects, bookmarks included, until the server ends the watch.

        A watch that falls silent ends likewise.

        Use it in ``contextlib.aclosing``, so that leaving the loop closes the connection.

        Parameters
        ----------
        resource : Resource
            Kind of the objects.
        namespace : str, optional
            By default the client's own; `ALL_NAMESPACES` for all.
        labels, fields : mapping or str, optional
            Selectors.
        resource_version : str, optional
            Changes after this version; without it the present objects come first, as ``ADDED``.
        timeout_seconds : float, optional
            When the server is to end the watch; by default drawn from 4 to 8 minutes.
        silence_seconds : float, optional
            After how long without any event the watch ends.
        opened : callable, optional
            Called when the server has accepted the watch: it is there, even if nothing happens.

        Yields
        ------
        Manifest
            ``{"type": "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK", "object": …}``

        Raises
        ------
        Gone
            If `resource_version` is too old: list again.
        ApiError
            If the server refuses or fails, at first or later.
        Unreachable
            If it does not answer, or the connection is cut.
        """
        namespace = namespace or self.namespace
        params: dict[str, Param | None] = {
            "watch": True,
            "allowWatchBookmarks": True,
            "labelSelector": urls.selector(labels),
            "fieldSelector": urls.selector(fields),
            "resourceVersion": resource_version,
            "timeoutSeconds": round(timeout_seconds or random.uniform(*WATCH_SECONDS)),
        }
        path = urls.resource_path(resource, namespace) + urls.query(params)
        what = urls.describe("watch", resource, namespace, None, None)
        with contextlib.ExitStack() as call:
            call.enter_context(self._told("watch", resource))

            def accepted() -> None:
                call.close()  # Its answer has begun: what comes of it later is no part of the call.
                if opened is not None:
                    opened()

            async with contextlib.aclosing(
                self._stream_lines(path, what, silence_seconds, accepted)
            ) as lines:
                async for line in lines:
                    yield _event(line, what)

    async def logs(
        self,
        pod: str,
        namespace: str | None = None,
        *,
        container: str | None = None,
        tail: int | None = None,
        previous: bool = False,
    ) -> str:
        """Return what a container has printed so far.

        Parameters
        ----------
        pod : str
            Name of the Pod.
        namespace : str, optional
            By default the client's.
        container : str, optional
            Name of the container; needed if the Pod has several.
        tail : int, optional
            Only the last so many lines.
        previous : bool, optional
            The output of the container's last run, before it was restarted.
        """
        params = {"container": container, "tailLines": tail, "previous": previous or None}
        path = urls.resource_path(POD, namespace or self.namespace, pod, "log") + urls.query(params)
        what = urls.describe("get", POD, namespace or self.namespace, pod, "log")
        async with self._transport.stream("GET", path, what) as response:
            return (await response.read()).decode("utf-8", "replace")

    async def follow_logs(
        self,
        pod: str,
        namespace: str | None = None,
        *,
        container: str | None = None,
        tail: int | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield what a container prints, line by line, until it ends; parameters as for `logs`."""
        params = {"container": container, "tailLines": tail, "follow": True}
        path = urls.resource_path(POD, namespace or self.namespace, pod, "log") + urls.query(params)
        what = urls.describe("follow", POD, namespace or self.namespace, pod, "log")
        async with contextlib.aclosing(self._stream_lines(path, what, None)) as lines:
            async for line in lines:
                yield line.decode("utf-8", "replace")

    async def websocket(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        sub: str,
        params: Mapping[str, Param | None],
        protocols: Sequence[str],
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a WebSocket to a subresource, e.g. a Pod's ``portforward``.

        Parameters
        ----------
        resource : Resource
            Kind of the object.
        name, namespace : str
            Which one.
        sub : str
            Subresource.
        params : mapping
            Query parameters.
        protocols : sequence of str
            Subprotocols to offer, best first.

        Raises
        ------
        ApiError
            If the server refuses.
        Unreachable
            If it does not answer or speaks none of the protocols.
        """
        namespace = namespace or self.namespace
        path = urls.resource_path(resource, namespace, name, sub) + urls.query(params)
        what = urls.describe("connect to", resource, namespace, name, sub)
        return await self._transport.websocket(path, what, protocols)

    @contextlib.contextmanager
    def _told(self, verb: str, resource: Resource, sub: str | None = None) -> Iterator[None]:
        """Tell whoever wants to know how a call went."""
        if self.on_call is None:
            yield
            return
        started = time.perf_counter()
        code = "none"
        try:
            yield
            code = "201" if verb == "create" else "200"
        except ApiError as error:
            code = str(error.status)
            raise
        finally:
            what = f"{resource.plural}/{sub}" if sub else resource.plural
            self.on_call(verb, what, code, time.perf_counter() - started)

    async def _stream_lines(
        self, path: str, what: str, silence: float | None, opened: Callable[[], None] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of an answer that may go on for ever, until it ends or falls silent."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        splitter = Lines()
        async with self._transport.stream("GET", path, what, timeout=timeout) as response:
            if opened is not None:
                opened()
            while piece := await _read_piece(response):
                for line in splitter.feed(piece):
                    yield line
        if splitter.rest():
            yield splitter.rest()


async def _read_piece(response: aiohttp.ClientResponse) -> bytes:
    """Return what comes next; nothing at the end, or if nothing comes in time."""
    try:
        return await response.content.readany()
    except asyncio.TimeoutError:
        return b""


def _event(line: bytes, what: str) -> Manifest:
    try:
        event: Any = json.loads(line)
    except ValueError as error:
        raise Unreachable(f"{what}: the connection was cut in the middle of an event.") from error
    if event["type"] == "ERROR":
        status = event["object"]
        raise api_error(int(status.get("code") or 500), status, what)
    return dict(event)
