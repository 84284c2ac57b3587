"""The embedded API server without sockets: a transport under `KubeClient` that calls it directly.

Everything else is the real thing: paths, bodies, JSON, schemas, conflicts, watches, garbage collection.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import aiohttp
from multidict import MultiDict
from yarl import URL

from dask_gpu_k8s.api.manifests import crds
from dask_gpu_k8s.api.resources import CRD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.errors import Unreachable, api_error
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError, expired
from dask_gpu_k8s.local.http.answers import refusal
from dask_gpu_k8s.local.http.objects import Objects, check_place, form_of, read_list
from dask_gpu_k8s.local.http.paths import Target, parse_path
from dask_gpu_k8s.local.http.query import list_query
from dask_gpu_k8s.local.http.watching import Watch
from dask_gpu_k8s.local.machinery.controllers import Controllers
from tests.faults import clock
from tests.faults.calls import Call, Strike
from tests.faults.weather import Stream, Weather


@functools.cache
def our_kinds() -> dict[tuple[str, str], Manifest]:
    """Return our CRDs as stored: to check them takes longer than a whole run."""
    api = Api()
    return {("", crd["metadata"]["name"]): api.create(CRD, None, crd) for crd in crds()}


class Request:
    """As much of an aiohttp request as the server looks at."""

    def __init__(self, method: str, path: str, body: object, content_type: str | None) -> None:
        self.method = method
        self.url = URL(path, encoded=True)
        self.query = self.url.query
        self.headers: Mapping[str, str] = {"Accept": "application/json"}
        self.content_type = content_type or "application/json"
        self._body = b"" if body is None else json.dumps(body).encode()

    async def read(self) -> bytes:
        """Return the body."""
        return self._body


class Server:
    """An API server in this process, with its controllers and nobody else."""

    def __init__(self) -> None:
        self.api = Api(now=clock.utc_now)
        self.weather = Weather()
        self._objects = Objects(self.api)
        self._controllers = Controllers(self.api)
        for key, crd in our_kinds().items():
            self.api.store.put((CRD.group, CRD.plural), key, crd)

    def start(self) -> None:
        """Begin to collect garbage."""
        self._controllers.start()

    async def answer(self, request: Any, what: str) -> Any:
        """Answer a request that is no watch; ApiError if it is refused."""
        target = _target(request)
        kind = self.api.registry.find(target.group, target.version, target.plural)
        try:
            if target.name is None and request.method == "GET":
                check_place(kind, target, "GET")
                version = self.weather.version_listed(self.api, target.plural)
                asked = list_query(request.query if version is None else _at(request.query, version))
                response = read_list(self.api, kind, target, asked, form_of(request))
            else:
                response = await self._objects.answer(request, kind, target)
        except StatusError as error:
            response = refusal(error)
        body = json.loads(response.body)  # type: ignore[arg-type]
        if response.status >= 400:
            raise api_error(response.status, body, what)
        return body

    def watch(self, request: Any, what: str) -> AsyncGenerator[bytes, None]:
        """Open a watch; ApiError if it is refused."""
        target = _target(request)
        kind = self.api.registry.find(target.group, target.version, target.plural)
        try:
            asked = list_query(request.query)
            if asked.version and asked.version < self.weather.oldest:
                raise expired(f"too old resource version: {asked.version}")
            return Watch(self.api, kind, target.namespace, asked, form_of(request)).pieces()
        except StatusError as error:
            raise api_error(error.code, error.status, what) from error


def _target(request: Request) -> Target:
    target = parse_path(request.url.raw_path)
    assert target is not None, request.url
    return target


def _at(query: Any, version: int) -> Any:
    return MultiDict([*query.items(), ("resourceVersion", str(version)), ("resourceVersionMatch", "Exact")])


class Transport:
    """What `KubeClient` sends through: each request is a call, and a call may be struck by a fault.

    Parameters
    ----------
    server : Server
    strike : callable
        Awaited before and after each call takes effect; see `calls.Strike`.
    """

    def __init__(self, server: Server, strike: Strike) -> None:
        self._server = server
        self._strike = strike

    async def close(self) -> None:
        """Nothing is open."""

    async def exchange(
        self, method: str, path: str, what: str, *, body: object = None, content_type: str | None = None
    ) -> Any:
        """Send one request and return the answer."""
        request = Request(method, path, body, content_type)

        async def perform() -> Any:
            return await self._server.answer(request, what)

        return await self._strike(Call(method, what, body), perform)

    @contextlib.asynccontextmanager
    async def stream(
        self, method: str, path: str, what: str, *, timeout: aiohttp.ClientTimeout | None = None, **_: Any
    ) -> AsyncIterator[Any]:
        """Open a watch."""
        request = Request(method, path, None, None)
        silence = timeout.sock_read if timeout else None

        async def perform() -> Stream:
            pieces = self._server.watch(request, what)
            return Stream(pieces, _target(request).plural, self._server.weather, silence)

        stream = await self._strike(Call("WATCH", what, None), perform)
        try:
            yield stream
        except ConnectionError as error:
            raise Unreachable(f"{what}: {error}") from error
        finally:
            await stream.close()
