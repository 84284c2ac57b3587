"""The operator's page for the kubelet: is it alive, is it ready."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from aiohttp import web


class Patient(Protocol):
    """Whoever can say how they are."""

    def stalled(self) -> list[str]:
        """Name the kinds whose watch has been silent for too long."""

    def unsynced(self) -> list[str]:
        """Name the kinds that have not been listed yet."""


@contextlib.asynccontextmanager
async def serve_health(port: int, patient: Patient) -> AsyncIterator[None]:
    """Serve ``/healthz`` and ``/readyz`` on all addresses for the length of an ``async with``.

    Parameters
    ----------
    port : int
    patient : Patient
        ``/healthz`` fails while a watch is stalled, ``/readyz`` while something has not been listed.
    """
    app = web.Application()
    app.router.add_get("/healthz", _page(lambda: patient.stalled() if not patient.unsynced() else []))
    app.router.add_get("/readyz", _page(patient.unsynced))
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
