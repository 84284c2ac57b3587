"""The API server: HTTPS on one port, a token for everything but the health paths."""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
from typing import Any

from aiohttp import web

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError, method_not_allowed
from dask_gpu_k8s.local.http.answers import refusal
from dask_gpu_k8s.local.http.meta import OPEN, Meta
from dask_gpu_k8s.local.http.objects import Objects, check_place, form_of, read_list
from dask_gpu_k8s.local.http.paths import Target, parse_path
from dask_gpu_k8s.local.http.pods import STREAMS, PodRequests
from dask_gpu_k8s.local.http.query import list_query
from dask_gpu_k8s.local.http.watching import Watch, close_all
from dask_gpu_k8s.local.machinery.controllers import Controllers
from dask_gpu_k8s.local.streams import PodStreams

log = logging.getLogger(__name__)

LARGEST_BODY = 3 * 1024**2
"""Bytes; the limit of a real API server."""


class Server:
    """An API server for an Api, with its garbage collector and other controllers.

    Parameters
    ----------
    api : Api
    streams : PodStreams
        The node, for logs, exec and port-forward.
    """

    def __init__(self, api: Api, streams: PodStreams) -> None:
        self._api = api
        self._objects = Objects(api)
        self._meta = Meta(api.registry)
        self._pods = PodRequests(streams)
        self._controllers = Controllers(api)
        self._watches: set[Watch] = set()
        self._token = b""
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None, token: str) -> int:
        """Begin to listen.

        Parameters
        ----------
        host : str
        port : int
            0 for any free one.
        ssl_context : ssl.SSLContext or None
            None for plain HTTP, which only tests want.
        token : str
            What clients have to show as bearer token.

        Returns
        -------
        int
            The port.
        """
        loop = asyncio.get_running_loop()
        self._token = f"Bearer {token}".encode()
        self._web = web.Server(
            self._answer, request_factory=_request, handler_cancellation=True, access_log=None
        )
        self._listener = await loop.create_server(self._web, host, port, ssl=ssl_context, backlog=1024)
        self._controllers.start()
        found: int = self._listener.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """End every watch and stream, and stop listening."""
        if self._listener is None or self._web is None:
            return
        self._listener.close()
        close_all(self._watches)
        await self._web.shutdown(timeout=2.0)
        await self._controllers.close()
        self._listener = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            self._check_token(request)
            target = parse_path(request.rel_url.raw_path)
            if target is None:
                return self._meta.answer(request)
            return await self._answer_target(request, target)
        except StatusError as error:
            return refusal(error)
        except web.HTTPRequestEntityTooLarge:
            text = f"Request entity too large: limit is {LARGEST_BODY}"
            return refusal(StatusError(413, "RequestEntityTooLarge", text))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            text = f"an error on the server: {type(error).__name__}: {error}"
            return refusal(StatusError(500, "InternalError", text))

    def _check_token(self, request: web.BaseRequest) -> None:
        if request.path.startswith(OPEN):
            return
        shown = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(shown, self._token):
            raise StatusError(401, "Unauthorized", "Unauthorized")

    async def _answer_target(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        kind = self._api.registry.find(target.group, target.version, target.plural)
        if target.name is None and request.method in ("GET", "HEAD"):
            return await self._list_or_watch(request, target)
        if kind.resource == POD and target.sub in STREAMS:
            check_place(kind, target, request.method)
            pod = self._api.get(POD, target.namespace, target.name or "")
            return await self._pods.answer(request, pod, target.sub)
        return await self._objects.answer(request, kind, target)

    async def _list_or_watch(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        kind = self._api.registry.find(target.group, target.version, target.plural)
        check_place(kind, target, request.method)
        if "list" not in kind.verbs:
            raise method_not_allowed()
        asked, form = list_query(request.query), form_of(request)
        if not asked.watch:
            return read_list(self._api, kind, target, asked, form)
        watch = Watch(self._api, kind, target.namespace, asked, form)
        self._watches.add(watch)
        try:
            return await watch.run(request)
        finally:
            self._watches.discard(watch)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)
