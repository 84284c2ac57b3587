"""The one way to Kubernetes: `KubeClient.request`, and the verbs that are written with it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Literal

from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube import config, urls
from dask_gpu_k8s.kube.aside import aside
from dask_gpu_k8s.kube.backoff import Backoff
from dask_gpu_k8s.kube.errors import Gone, ServerError, TooManyRequests, Unreachable
from dask_gpu_k8s.kube.limits import Limits
from dask_gpu_k8s.kube.session import tls_context
from dask_gpu_k8s.kube.streams import Streams
from dask_gpu_k8s.kube.transport import Transport
from dask_gpu_k8s.kube.urls import ALL_NAMESPACES, Param, Selector

__all__ = ["ALL_NAMESPACES", "KubeClient"]

READ_ATTEMPTS = 5
"""Tries of a read in all, over about a second, where the server fails or cannot be reached."""

BUSY_ATTEMPTS = 10
"""Tries of anything in all where the server says that it is busy and when to come back."""

PAGE = 500
"""Objects in one page of a list: 10,000 Pods decoded at once would stop the event loop."""

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class KubeClient(Streams):
    """A client of one API server. A value: opened, passed on, closed; there is no global one.

    Belongs to the event loop it is made in. Get one by `open`, or by ``async with`` of `connect`.

    Parameters
    ----------
    connection : Connection
        Where to, and as whom. It may serve several clients, one after the other or at once.
    limits : Limits, optional
        How many requests at once, and how many in a second. Watches and other streams do not count.
    tls : ssl.SSLContext, optional
        From `dask_gpu_k8s.kube.session.tls_context`; by default made here, which takes a while.

    Attributes
    ----------
    connection : Connection
        As given.
    namespace : str
        Namespace that is meant where none is said.
    server : str
        URL of the API server.
    limits : Limits
        As given.
    on_call : callable, optional
        Called after each try of a request; see `OnCall`.
    """

    def __init__(
        self,
        connection: config.Connection,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(Transport(connection, tls), connection.namespace)
        self.connection = connection
        self.server = connection.server
        self.limits = limits or Limits()

    @classmethod
    async def open(
        cls, kubeconfig: config.Kubeconfig | None = None, context: str | None = None
    ) -> KubeClient:
        """Open a client; nothing is sent yet, and the event loop is not held up.

        Parameters
        ----------
        kubeconfig, context
            As for `dask_gpu_k8s.kube.config.load`.

        Raises
        ------
        NoConfig
            If no usable configuration is found.
        """
        connection = await config.load(kubeconfig, context)
        # The system's authorities alone take OpenSSL tens of milliseconds to read.
        return cls(connection, tls=await aside(tls_context, connection))

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, kubeconfig: config.Kubeconfig | None = None, context: str | None = None
    ) -> AsyncIterator[KubeClient]:
        """Open a client for the length of an ``async with``; see `open`."""
        kube = await cls.open(kubeconfig, context)
        try:
            yield kube
        finally:
            await kube.close()

    async def close(self) -> None:
        """Close all connections; what is under way fails."""
        await self._transport.close()

    def now(self) -> datetime:
        """Return the time of day in UTC by the API server's clock, as far as its answers have told it."""
        return self._transport.now()

    async def request(
        self,
        method: str,
        resource: Resource,
        *,
        namespace: str | None = None,
        name: str | None = None,
        sub: str | None = None,
        params: Mapping[str, Param | None] | None = None,
        body: object = None,
        content_type: str | None = None,
    ) -> Manifest:
        """Ask the API server for something.

        A busy server (429) that says when to come back is asked again then. Where it fails (5xx) or
        cannot be reached, only reads are tried again: whether anything else took effect is unknown.

        Parameters
        ----------
        method : str
            HTTP method.
        resource : Resource
            Kind of object.
        namespace : str, optional
            By default the client's own; `ALL_NAMESPACES` for a list in all of them.
        name : str, optional
            Name of the object; without it the collection is meant.
        sub : str, optional
            Subresource.
        params : mapping, optional
            Query parameters; those that are ``None`` are not sent.
        body : optional
            JSON data to send.
        content_type : str, optional
            Of the body; by default ``application/json``.

        Returns
        -------
        Manifest
            The decoded answer.

        Raises
        ------
        ApiError
            If the server refuses or fails.
        Unreachable
            If it does not answer.
        """
        namespace = namespace or self.namespace
        path = urls.resource_path(resource, namespace, name, sub) + urls.query(params or {})
        what = urls.describe(method.lower(), resource, namespace, name, sub)
        backoff = Backoff()
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self.limits.slot():
                    with self._told(_verb(method, name), resource, sub):
                        answer: Manifest = await self._transport.exchange(
                            method, path, what, body=body, content_type=content_type
                        )
                self.limits.succeeded()
                return answer
            except TooManyRequests as error:
                wait = error.details.get("retryAfterSeconds")
                if wait is None or attempt >= BUSY_ATTEMPTS:
                    raise
                self.limits.rest(float(wait))
                delay = float(wait) + next(backoff)
            except (ServerError, Unreachable):
                if method != "GET" or attempt >= READ_ATTEMPTS:
                    raise
                delay = next(backoff)
            await asyncio.sleep(delay)

    async def read(self, path: str) -> Any:
        """Return what the server says at a path that is no resource's, e.g. ``"/apis"``.

        Raises
        ------
        ApiError
            If the server refuses or fails.
        Unreachable
            If it does not answer.
        """
        async with self.limits.slot():
            return await self._transport.exchange("GET", path, f"get {path}")

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Manifest:
        """Return one object."""
        return await self.request("GET", resource, namespace=namespace, name=name)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: Selector | None = None,
        fields: Selector | None = None,
        limit: int = PAGE,
    ) -> Manifest:
        """Return all objects of a kind, as one state of the server, fetched page by page.

        Parameters
        ----------
        resource : Resource
            Kind of the objects.
        namespace : str, optional
            By default the client's own; `ALL_NAMESPACES` for all.
        labels, fields : mapping or str, optional
            Selectors.
        limit : int, optional
            Objects per page; 0 for all at once.

        Returns
        -------
        Manifest
            ``{"metadata": {"resourceVersion": …}, "items": […]}``, with ``kind`` and ``apiVersion`` in
            each item.
        """
        selection = {"labelSelector": urls.selector(labels), "fieldSelector": urls.selector(fields)}
        items: list[Manifest] = []
        token = None
        while True:
            params = {**selection, "limit": limit or None, "continue": token}
            try:
                page = await self.request("GET", resource, namespace=namespace, params=params)
            except Gone:
                if token is None:
                    raise
                # The state that the first page came from is forgotten: take the whole at once.
                return await self.list(resource, namespace, labels=labels, fields=fields, limit=0)
            items += [
                {**item, "apiVersion": resource.api_version, "kind": resource.kind}
                for item in page.get("items") or []
            ]
            metadata = page.get("metadata") or {}
            token = metadata.get("continue") or None
            if token is None:
                return {"metadata": {"resourceVersion": metadata.get("resourceVersion", "")}, "items": items}

    async def create(
        self, resource: Resource, obj: Manifest, namespace: str | None = None, *, strict: bool = True
    ) -> Manifest:
        """Create an object in `namespace`, else in the one it names, else in the client's.

        Parameters
        ----------
        resource : Resource
            Kind of the object.
        obj : Manifest
            The object.
        namespace : str, optional
            Where to.
        strict : bool, optional
            Refuse fields that the kind does not have.
        """
        return await self.request(
            "POST",
            resource,
            namespace=namespace or _namespace_of(obj),
            params=_validation(strict),
            body=obj,
        )

    async def replace(
        self, resource: Resource, obj: Manifest, *, sub: str | None = None, strict: bool = True
    ) -> Manifest:
        """Replace an object as a whole; refused as `Conflict` if its ``resourceVersion`` is old.

        Parameters
        ----------
        resource : Resource
            Kind of the object.
        obj : Manifest
            The object, with its name.
        sub : str, optional
            Replace this subresource only, e.g. ``"status"``.
        strict : bool, optional
            Refuse fields that the kind does not have.
        """
        return await self.request(
            "PUT",
            resource,
            namespace=_namespace_of(obj),
            name=obj["metadata"]["name"],
            sub=sub,
            params=_validation(strict),
            body=obj,
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: object,
        namespace: str | None = None,
        *,
        sub: str | None = None,
        kind: Literal["merge", "json", "strategic"] = "merge",
        strict: bool = True,
    ) -> Manifest:
        """Change parts of an object.

        Parameters
        ----------
        resource : Resource
            Kind of the object.
        name : str
            Its name.
        patch : dict or list
            The change.
        namespace : str, optional
            By default the client's.
        sub : str, optional
            Change this subresource only, e.g. ``"status"``.
        kind : str, optional
            JSON merge patch (RFC 7386), JSON patch (RFC 6902) or Kubernetes' strategic merge patch.
        strict : bool, optional
            Refuse fields that the kind does not have.
        """
        return await self.request(
            "PATCH",
            resource,
            namespace=namespace,
            name=name,
            sub=sub,
            params=_validation(strict),
            body=patch,
            content_type=PATCH_TYPES[kind],
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> Manifest:
        """Delete an object.

        Parameters
        ----------
        resource : Resource
            Kind of the object.
        name : str
            Its name.
        namespace : str, optional
            By default the client's.
        uid, resource_version : str, optional
            Delete it only if it is this one, or this version of it; else `Conflict`.
        grace_seconds : int, optional
            Time a Pod gets to end; by default its own ``terminationGracePeriodSeconds``.
        propagation : str, optional
            What becomes of the objects it owns; by default as the kind says (Background for ours).
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options: Manifest = {
            "gracePeriodSeconds": grace_seconds,
            "propagationPolicy": propagation,
            "preconditions": {key: value for key, value in preconditions.items() if value} or None,
        }
        given = {key: value for key, value in options.items() if value is not None}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **given} if given else None
        return await self.request("DELETE", resource, namespace=namespace, name=name, body=body)


def _verb(method: str, name: str | None) -> str:
    """Return what Kubernetes calls it, in roles and in its own metrics."""
    if method == "GET":
        return "list" if name is None else "get"
    return {"POST": "create", "PUT": "update"}.get(method, method.lower())


def _namespace_of(obj: Manifest) -> str | None:
    namespace: str | None = obj["metadata"].get("namespace")
    return namespace


def _validation(strict: bool) -> dict[str, Param | None]:
    return {"fieldValidation": "Strict" if strict else None}
