"""Requests on the wire: identity, one try, and every failure turned into one of our errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import Any

import aiohttp
from yarl import URL

from dask_gpu_k8s.kube import session as sessions
from dask_gpu_k8s.kube.config import Connection
from dask_gpu_k8s.kube.credentials import Identity
from dask_gpu_k8s.kube.errors import ApiError, KubeError, NoSuchProtocol, Unreachable, api_error
from dask_gpu_k8s.kube.proxies import proxy_for
from dask_gpu_k8s.kube.sockets import Sockets

MAX_ERROR_BYTES = 1_000_000

SAME_TIME = timedelta(seconds=3)
"""Clocks that differ by less are the same: the header is in whole seconds, and answers take a while."""


class Transport:
    """One HTTP session to one API server; belongs to the event loop it was opened in.

    Parameters
    ----------
    connection : Connection
    tls : ssl.SSLContext, optional
        By default made here.
    """

    def __init__(self, connection: Connection, tls: ssl.SSLContext | None = None) -> None:
        self._connection = connection
        self._context = tls or sessions.tls_context(connection)
        self._shown: tuple[bytes, bytes] | None = None
        self._proxy = proxy_for(connection)
        self._sockets = Sockets()
        self._session = sessions.open_session(self._context, self._sockets)
        self._told = ("", datetime.now(timezone.utc))
        self._agent = f"dask-gpu-k8s/{version()}"

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._sockets.close()

    def now(self) -> datetime:
        """Return the time of day in UTC; by the server's clock, if that is known to be another."""
        ours = datetime.now(timezone.utc)
        said, at = self._told
        try:
            ahead = parsedate_to_datetime(said) - at
        except (TypeError, ValueError):
            return ours
        return ours + ahead if abs(ahead) > SAME_TIME else ours

    async def exchange(
        self, method: str, path: str, request: str, *, body: object = None, content_type: str | None = None
    ) -> Any:
        """Send one request and return the decoded JSON answer.

        Parameters
        ----------
        method : str
            HTTP method.
        path : str
            Path and query, encoded.
        request : str
            What is asked, for messages.
        body : optional
            JSON data to send.
        content_type : str, optional
            Of the body; by default ``application/json``.

        Raises
        ------
        ApiError
            If the server refuses or fails.
        Unreachable
            If it does not answer, or not with JSON.
        """
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
            data = json.dumps(body, separators=(",", ":")).encode()
        async with self.stream(method, path, request, headers=headers, data=data) as response:
            answer = await response.read()
        try:
            return json.loads(answer)
        except ValueError as error:
            raise Unreachable(f"{request}: {self._connection.server} did not answer with JSON.") from error

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        request: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and hand out the answer, unread, while the context lasts.

        Parameters
        ----------
        method, path, request
            As for `exchange`.
        headers : mapping, optional
            Sent beside those that identify us.
        data : bytes, optional
            Body to send.
        timeout : aiohttp.ClientTimeout, optional
            Instead of the session's.

        Raises
        ------
        ApiError, Unreachable
            As for `exchange`.
        """
        with network_errors(request):
            identity = await self._identity()
            response = await self._send(method, path, identity, headers or {}, data, timeout)
            if response.status == 401 and self._connection.credentials.expire(identity):
                # Nothing was done yet, so this may be asked again whatever the verb.
                response.release()
                identity = await self._identity()
                response = await self._send(method, path, identity, headers or {}, data, timeout)
            async with response:
                if response.status >= 400:
                    raise await _refusal(response, request)
                yield response

    async def websocket(
        self, path: str, request: str, protocols: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a WebSocket.

        It has no heartbeat: where the pod stops reading, a full one would be closed for a late pong.

        Parameters
        ----------
        path, request
            As for `exchange`.
        protocols : sequence of str
            Subprotocols to offer; the server has to pick one.

        Raises
        ------
        ApiError
            If the server refuses.
        Unreachable
            If it does not answer, or does not speak WebSocket.
        """
        with network_errors(request):
            identity = await self._identity()
            try:
                socket = await self._shake_hands(path, identity, protocols)
            except aiohttp.WSServerHandshakeError as error:
                if error.status == 401 and self._connection.credentials.expire(identity):
                    socket = await self._shake_hands(path, await self._identity(), protocols)
                else:
                    raise await self._why_refused(path, request, error.status) from error
        if socket.protocol is None:
            await socket.close()
            raise NoSuchProtocol(f"{request}: the server speaks none of {', '.join(protocols)}.")
        if (peer := socket.get_extra_info("socket")) is not None:
            sessions.keep_alive(peer)
        return socket

    async def _shake_hands(
        self, path: str, identity: Identity, protocols: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        return await self._session.ws_connect(
            self._url(path),
            protocols=protocols,
            headers=self._headers(identity),
            proxy=self._proxy,
            ssl=self._context,
            server_hostname=self._connection.tls_server_name,
            max_msg_size=0,
        )

    async def _why_refused(self, path: str, request: str, status: int) -> KubeError:
        """Ask again without an upgrade: aiohttp throws away the answer to a failed handshake."""
        try:
            await self.exchange("GET", path, request)
        except ApiError as error:
            if error.status == status:
                return error
        except Unreachable:
            pass  # Not from Kubernetes: what follows says as much.
        if status >= 400:
            return api_error(status, "", request)
        return Unreachable(f"{request}: answered with {status} instead of opening a WebSocket.")

    async def _send(
        self,
        method: str,
        path: str,
        identity: Identity,
        headers: Mapping[str, str],
        data: bytes | None,
        timeout: aiohttp.ClientTimeout | None,
    ) -> aiohttp.ClientResponse:
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        response = await self._session.request(
            method,
            self._url(path),
            headers=self._headers(identity, headers),
            data=data,
            proxy=self._proxy,
            ssl=self._context,
            server_hostname=self._connection.tls_server_name,
            allow_redirects=False,
            **options,
        )
        self._told = (response.headers.get("Date", ""), datetime.now(timezone.utc))
        return response

    def _url(self, path: str) -> URL:
        return URL(self._connection.server + path, encoded=True)

    async def _identity(self) -> Identity:
        identity = await self._connection.credentials.identity()
        if identity.certificate is not None and identity.certificate != self._shown:
            if self._shown is not None:
                # Connections are pooled by their context: who showed the old one is not used again.
                self._context = sessions.tls_context(self._connection)
            sessions.show_certificate(self._context, identity.certificate)
            self._shown = identity.certificate
        return identity

    def _headers(self, identity: Identity, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        return {"User-Agent": self._agent, **(headers or {}), **identity.headers}


@contextlib.contextmanager
def network_errors(request: str) -> Iterator[None]:
    """Turn what goes wrong on the network into `Unreachable`."""
    try:
        yield
    except asyncio.TimeoutError as error:
        raise Unreachable(f"{request}: no answer in time.") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"{request}: {str(error) or type(error).__name__}") from error


async def _refusal(response: aiohttp.ClientResponse, request: str) -> ApiError:
    raw = bytearray()
    # One read gives what has come so far, and a long refusal comes in several pieces.
    while piece := await response.content.read(MAX_ERROR_BYTES - len(raw)):
        raw += piece
    text = raw.decode("utf-8", "replace")
    try:
        body: object = json.loads(text)
    except ValueError:
        body = text.strip()
    error = api_error(response.status, body, request)
    wait = response.headers.get("Retry-After", "")
    if wait.isdigit():
        error.details.setdefault("retryAfterSeconds", int(wait))
    return error


def version() -> str:
    """Return this package's version; ``"unknown"`` where it is not installed."""
    try:
        return metadata.version("dask-gpu-k8s")
    except metadata.PackageNotFoundError:
        return "unknown"
