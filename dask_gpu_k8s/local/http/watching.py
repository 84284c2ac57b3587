"""Watches: a stream of events, one JSON object per line.

Source: Kubernetes' documentation, "API concepts: Efficient detection of changes".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

from aiohttp import web

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError, expired
from dask_gpu_k8s.local.http.answers import entry_json, formed
from dask_gpu_k8s.local.http.bodies import Form
from dask_gpu_k8s.local.http.objects import too_new
from dask_gpu_k8s.local.http.query import ListQuery
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.machinery.store import Entry, TooOld, encode
from dask_gpu_k8s.local.machinery.subscription import Subscription

BOOKMARK_EVERY = 30.0
"""Seconds between bookmarks; a client may take longer silence for a dead connection."""
BOOKMARK_BEFORE_END = 2.0
LONGEST = 3600.0


class Watch:
    """One watch of one client.

    Parameters
    ----------
    api : Api
    kind : Kind
    namespace : str or None
    asked : ListQuery
    form : Form

    Raises
    ------
    StatusError
        If the watch cannot begin: selectors that make no sense, or a version from the future.
    """

    def __init__(self, api: Api, kind: Kind, namespace: str | None, asked: ListQuery, form: Form) -> None:
        self._api = api
        self._kind = kind
        self._asked = asked
        self._form = form
        test = api.reads.test(kind, asked.labels, asked.fields)
        if asked.version and asked.version > api.store.version:
            raise too_new(asked.version, api.store.version)
        self.subscription = Subscription(api.store, kind, namespace, test)
        self._first: list[bytes] = list(self._beginning(namespace, asked.version))

    def _beginning(self, namespace: str | None, version: int | None) -> Iterator[bytes]:
        """Yield what is sent at once: the present state, or what happened since a version."""
        if not version or self._asked.initial_events:
            test = self._api.reads.test(self._kind, self._asked.labels, self._asked.fields)
            page = self._api.reads.page(self._kind, namespace, test)
            yield from (self._line("ADDED", entry) for entry in page.entries)
            if self._asked.initial_events and self._asked.bookmarks:
                yield self._bookmark(initial_end=True)
            return
        try:
            self.subscription.push(self._api.store.changes_since(self._kind.table, version))
        except TooOld:
            self.subscription.close()
            oldest = self._api.store.version
            yield _error(expired(f"too old resource version: {version} ({oldest})"))

    def _line(self, change: str, entry: Entry) -> bytes:
        if self._form.kind:
            obj = self._api.served(self._kind, entry.obj)
            body = encode(formed(self._api, self._kind, obj, self._form))
        else:
            body = entry_json(self._api, self._kind, entry)
        return b'{"type":"%b","object":%b}\n' % (change.encode(), body)

    def _bookmark(self, initial_end: bool = False) -> bytes:
        meta: Manifest = {"resourceVersion": str(self._api.store.version), "creationTimestamp": None}
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self._kind.resource
        obj: Manifest = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if self._form.kind == "Table":
            obj = {
                **obj,
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "columnDefinitions": [],
                "rows": [],
            }
        return encode({"type": "BOOKMARK", "object": obj}) + b"\n"

    async def run(self, request: web.BaseRequest) -> web.StreamResponse:
        """Send events until the time is up, the client goes or the server stops."""
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        try:
            await answer.prepare(request)
            async with contextlib.aclosing(self.pieces()) as pieces:
                async for piece in pieces:
                    await answer.write(piece)
            await answer.write_eof()
        except ConnectionError:
            pass  # the client went, which is how most watches end
        return answer

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield what is sent, piece by piece; the first one at once, even if it is empty."""
        try:
            # Headers go out with the first bytes of the body, and a client waits for them.
            yield b"".join(self._first)
            async for piece in self._follow():
                yield piece
        finally:
            self.subscription.close()

    async def _follow(self) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        end = clock() + (self._asked.timeout or LONGEST)
        bookmarks = _bookmark_times(clock(), end) if self._asked.bookmarks else iter(())
        due = next(bookmarks, end)
        while not self.subscription.closed and clock() < end:
            lines = await self._next_lines(min(due, end) - clock())
            if clock() >= due and due < end:
                lines.append(self._bookmark())
                due = next(bookmarks, end)
            if lines:
                yield b"".join(lines)

    async def _next_lines(self, seconds: float) -> list[bytes]:
        try:
            await asyncio.wait_for(self.subscription.wait(), max(seconds, 0))
        except asyncio.TimeoutError:
            return []
        try:
            return [self._line(change, entry) for change, entry in self.subscription.take()]
        except StatusError as error:
            self.subscription.close()
            return [_error(error)]


def _error(error: StatusError) -> bytes:
    return encode({"type": "ERROR", "object": error.status}) + b"\n"


def _bookmark_times(start: float, end: float) -> Iterator[float]:
    """Yield when bookmarks are due: regularly, and shortly before the end."""
    last = end - BOOKMARK_BEFORE_END
    due = start + BOOKMARK_EVERY
    while due < last:
        yield due
        due += BOOKMARK_EVERY
    if last > start:
        yield last


def close_all(watches: Iterable[Watch]) -> None:
    """End watches, as a server that stops does."""
    for watch in tuple(watches):
        watch.subscription.close()
