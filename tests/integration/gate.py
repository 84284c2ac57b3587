"""A proxy in front of the API server that lets through what a test wants, and counts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from dask_gpu_k8s.kube import config, session
from dask_gpu_k8s.kube.sockets import Sockets
from tests.integration.kube.scripted import kubeconfig, status
from tests.integration.roles import Asked, rights_for


class Gate:
    """Between a client and the API server.

    Attributes
    ----------
    tokens : container of str
        Bearer tokens that are let in.
    rate : float or None
        Writes in a second; more are refused as too many (429).
    allows : callable
        Told each right that a request takes; where it says no to one, the answer is 403.
    black_hole : set of str
        Plural names of kinds whose watches bring nothing any more.
    accepts : bool
        Whether new watches at least begin then.
    answers : Counter
        Answers by HTTP status.
    asked : list of tuple
        Method and path of all requests.
    under_way, most : int
        Requests at once, now and at the worst; watches do not count.
    """

    def __init__(self, connection: config.Connection) -> None:
        self.tokens: Container[str] = {"t"}
        self.rate: float | None = None
        self.allows: Callable[[Asked], bool] = lambda asked: True
        self.black_hole: set[str] = set()
        self.accepts = True
        self.answers: Counter[int] = Counter()
        self.asked: list[tuple[str, str]] = []
        self.under_way = self.most = 0
        self._connection = connection
        self._begun: list[float] = []
        self._watches: set[asyncio.Task[Any]] = set()

    def revoke(self) -> None:
        """Let nobody in, and cut all watches."""
        self.tokens = set()
        for watch in list(self._watches):
            watch.cancel()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        self.asked.append((request.method, request.path))
        if "watch" in request.query:
            return await self._watch(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return self._refusal(request) or await self._socket(request)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            answer = self._refusal(request) or await self._forward(request)
        finally:
            self.under_way -= 1
        self.answers[answer.status] += 1
        return answer

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return status(401, "Unauthorized")
        for asked in rights_for(request.method, request.path, request.query):
            if not self.allows(asked):
                return status(403, "Forbidden", asked.refusal)
        if self.rate is not None and request.method != "GET":
            now = time.monotonic()
            self._begun = [moment for moment in self._begun if now - moment < 1.0]
            if len(self._begun) >= self.rate:
                return status(429, "TooManyRequests", **{"Retry-After": "1"})
            self._begun.append(now)
        return None

    async def _forward(self, request: web.Request) -> web.Response:
        async with self._ask(request) as answer:
            headers = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            self.answers[refusal.status] += 1
            return refusal
        kind = request.path.rpartition("/")[2]
        task = asyncio.current_task()
        self._watches.add(task)
        try:
            if kind in self.black_hole and not self.accepts:
                await asyncio.Event().wait()
            async with self._ask(request) as answer:
                response = web.StreamResponse(status=answer.status)
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    if kind not in self.black_hole:
                        await response.write(piece)
                return response
        finally:
            self._watches.discard(task)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        identity = await self._connection.credentials.identity()
        offered = request.headers["Sec-WebSocket-Protocol"].split(",")
        there = await self._session.ws_connect(
            f"{self._connection.server}{request.rel_url}",
            protocols=[one.strip() for one in offered],
            headers=identity.headers,
            max_msg_size=0,
        )
        here = web.WebSocketResponse(protocols=[there.protocol or ""], max_msg_size=0)
        await here.prepare(request)
        ways = {asyncio.create_task(_copy(*way)) for way in ((here, there), (there, here))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, here.close(), there.close(), return_exceptions=True)
        return here

    @contextlib.asynccontextmanager
    async def _ask(self, request: web.Request) -> AsyncIterator[aiohttp.ClientResponse]:
        identity = await self._connection.credentials.identity()
        passed = [name for name in ("Accept", "Content-Type") if name in request.headers]
        async with self._session.request(
            request.method,
            f"{self._connection.server}{request.rel_url}",
            headers={**{name: request.headers[name] for name in passed}, **identity.headers},
            data=await request.read(),
        ) as answer:
            yield answer

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Let requests in for the length of an ``async with``; hand out the URL."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        # A client that goes takes its requests with it, the waiting ones too.
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sockets = Sockets()
        async with session.open_session(session.tls_context(self._connection), sockets) as self._session:
            try:
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            finally:
                await runner.cleanup()
                await sockets.close()


async def _copy(source: Any, sink: Any) -> None:
    async for message in source:
        await sink.send_bytes(message.data)


@contextlib.asynccontextmanager
async def gate_to(path: Path) -> AsyncIterator[tuple[Gate, Callable[..., dict[str, Any]]]]:
    """Open a gate to the API server of a kubeconfig; hand out what makes kubeconfigs for it."""
    gate = Gate(await config.load(path))
    async with gate.open() as url:
        yield gate, lambda user=None: kubeconfig(url, user)
