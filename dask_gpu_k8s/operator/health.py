"""The operator's pages: is it alive, is it ready, and what has it done."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from aiohttp import web

from dask_gpu_k8s.operator.prometheus import CONTENT_TYPE


class Patient(Protocol):
    """Whoever can say how they are."""

    def stalled(self) -> list[str]:
        """Name the kinds that were listed, and of which nothing was heard for too long since."""

    def unsynced(self) -> list[str]:
        """Name the kinds that have not been listed yet."""


@contextlib.asynccontextmanager
async def serve_health(port: int, patient: Patient, metrics: Callable[[], str]) -> AsyncIterator[None]:
    """Serve ``/healthz``, ``/readyz`` and ``/metrics`` on all addresses for the length of an ``async with``.

    Parameters
    ----------
    port : int
    patient : Patient
        ``/healthz`` fails while a watch is stalled, ``/readyz`` while something has not been listed.
    metrics : callable
        Writes the page for Prometheus.
    """

    async def show_metrics(request: web.Request) -> web.StreamResponse:
        return web.Response(body=metrics().encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", _page(patient.stalled))
    app.router.add_get("/readyz", _page(patient.unsynced))
    app.router.add_get("/metrics", show_metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


def _page(troubles: Callable[[], list[str]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        trouble = troubles()
        if trouble:
            return web.Response(status=503, text=f"no news of {', '.join(trouble)}\n")
        return web.Response(text="ok\n")

    return answer
