"""How the far end of a connection is left."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.sockets import hang_up
from dask_gpu_k8s.kube.within import within

GOODBYE_SECONDS = 1.0
"""How long the goodbye of a WebSocket may take."""


class ForwardFailed(KubeError):
    """The Pod's port did not accept the connection, or broke it."""


async def leave(websocket: aiohttp.ClientWebSocketResponse[bool], *, in_order: bool) -> None:
    """Close a WebSocket; without a goodbye, which would have to wait behind all that is on its way."""
    peer = websocket.get_extra_info("socket")
    if not in_order:
        hang_up(peer)
    with contextlib.suppress(asyncio.TimeoutError):
        await within(GOODBYE_SECONDS, websocket.close())
    hang_up(peer)
