"""An API server that says exactly what a test wants: for faults that no real server makes on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[dict[str, Any]]:
    """Answer every request with `handler`; hand out a kubeconfig."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield kubeconfig(f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def kubeconfig(server: str, user: dict[str, Any] | None = None, **cluster: object) -> dict[str, Any]:
    """Make a kubeconfig for one server."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "x", "user": user or {"token": "t"}}],
    }


def pod(name: str, version: str, **metadata: object) -> dict[str, Any]:
    """Make something that passes for a Pod."""
    return {
        "kind": "Pod",
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": version,
            **metadata,
        },
    }


def listing(version: str, *objects: dict[str, Any], more: str = "") -> web.Response:
    """Answer a list request."""
    return web.json_response({"metadata": {"resourceVersion": version, "continue": more}, "items": objects})


def status(code: int, reason: str, message: str = "scripted", **headers: str) -> web.Response:
    """Answer with an error."""
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
    return web.json_response(body, status=code, headers=headers)


def event(kind: str, obj: dict[str, Any]) -> bytes:
    """Write one line of a watch."""
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


async def watching(request: web.Request, *lines: bytes, hold: bool = False) -> web.StreamResponse:
    """Answer a watch request with these lines, then end it, or say nothing more."""
    response = web.StreamResponse()
    await response.prepare(request)
    for line in lines:
        await response.write(line)
    if hold:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    return response
