"""Follows Services and Pods: writes Endpoints and EndpointSlices, the files that Pods read, and the proxy."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from dask_gpu_k8s.api.resources import SERVICE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.machinery.builtin import ENDPOINTS, ENDPOINTSLICE
from dask_gpu_k8s.local.node.endpoints import Route, endpoint_slice, endpoints, routes
from dask_gpu_k8s.local.node.events import Events
from dask_gpu_k8s.local.node.mirror import Key, Mirror
from dask_gpu_k8s.local.node.names import route_lines, service_lines
from dask_gpu_k8s.local.node.proxy import Place, Proxy, places


class ClusterNetwork:
    """Keeps what Services lead to current.

    Parameters
    ----------
    api : Api
    services, pods : Mirror
    hosts, routes : pathlib.Path
        Files for the Pods: names of the cluster, and where connections go.
    """

    def __init__(self, api: Api, services: Mirror, pods: Mirror, hosts: Path, routes: Path) -> None:
        self._api = api
        self._services = services
        self._pods = pods
        self._hosts = hosts
        self._routes_file = routes
        self._events = Events(api, "kube-proxy")
        self._proxy = Proxy(self._complain)
        self._routes: dict[Key, list[Route]] = {}
        self._written: dict[Path, str] = {}
        self._dirty: set[Key] = set()
        self._due = asyncio.Event()
        services.watch(self._service_changed)
        pods.watch(self._pod_changed)
        self._write_files()

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                dirty, self._dirty = self._dirty, set()
                for key in dirty:
                    self._bring_up_to_date(key)
                self._write_files()
                await self._proxy.update(route for each in self._routes.values() for route in each)
        finally:
            await self._proxy.close()

    def _service_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        service = new or old
        assert service is not None
        if old and new and _as_service(old) == _as_service(new):
            return
        self._dirty.add((service["metadata"]["namespace"], service["metadata"]["name"]))
        self._due.set()

    def _pod_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        if old and new and _as_endpoint(old) == _as_endpoint(new):
            return
        for pod in filter(None, (old, new)):
            labels = pod["metadata"].get("labels") or {}
            for service in self._services.in_namespace(pod["metadata"]["namespace"]):
                selector = service["spec"].get("selector")
                if selector and selector.items() <= labels.items():
                    self._dirty.add((pod["metadata"]["namespace"], service["metadata"]["name"]))
                    self._due.set()

    def _bring_up_to_date(self, key: Key) -> None:
        service = self._services.get(*key)
        if service is None:
            self._routes.pop(key, None)
            self._write(ENDPOINTS, key[0], key[1], None)
            return
        pods = self._pods.in_namespace(key[0])
        self._routes[key] = routes(service, pods)
        if service["spec"].get("selector"):
            made = endpoint_slice(service, pods)
            self._write(ENDPOINTS, key[0], key[1], endpoints(service, pods))
            self._write(ENDPOINTSLICE, key[0], made["metadata"]["name"], made)
        if service["spec"].get("type") == "LoadBalancer":
            status = {"loadBalancer": {"ingress": [{"ip": service["spec"]["clusterIP"], "ipMode": "VIP"}]}}
            if service.get("status") != status:
                self._patch_status(service, status)

    def _patch_status(self, service: Manifest, status: Manifest) -> None:
        meta = service["metadata"]
        try:
            self._api.patch(SERVICE, meta["namespace"], meta["name"], {"status": status}, sub="status")
        except StatusError:
            return  # gone meanwhile; its deletion is on its way here

    def _write(self, resource: Resource, namespace: str, name: str, obj: Manifest | None) -> None:
        """Create, replace or delete what belongs to a Service."""
        try:
            if obj is None:
                self._api.delete(resource, namespace, name)
                return
            try:
                self._api.update(resource, namespace, name, obj)
            except StatusError as error:
                if error.code != 404:
                    raise
                self._api.create(resource, namespace, obj)
        except StatusError as error:
            # The namespace or the Service is going, and this goes with it.
            if error.code not in (403, 404, 409):
                raise

    def _write_files(self) -> None:
        self._replace(self._hosts, service_lines(self._services, self._pods))
        self._replace(
            self._routes_file, route_lines(route for each in self._routes.values() for route in each)
        )

    def _replace(self, path: Path, lines: Iterable[str]) -> None:
        text = "\n".join(lines) + "\n"
        if self._written.get(path) != text:
            beside = path.with_suffix(".new")
            beside.write_text(text)
            os.replace(beside, path)
            self._written[path] = text

    def _complain(self, place: Place, why: str) -> None:
        for service in self._services:
            key = (service["metadata"]["namespace"], service["metadata"]["name"])
            if any(place in places(route) for route in self._routes.get(key, ())):
                message = f"cannot listen on {place[0]}:{place[1]}: {why}"
                self._events.warning(service, "CannotListen", message)


def _as_service(service: Manifest) -> tuple[object, ...]:
    """Return what of a Service matters here; its status does not."""
    meta = service["metadata"]
    return meta["uid"], meta.get("labels"), service["spec"]


def _as_endpoint(pod: Manifest) -> tuple[object, ...]:
    """Return what of a Pod matters to Services."""
    status = pod.get("status") or {}
    ready = [each["status"] for each in status.get("conditions") or [] if each["type"] == "Ready"]
    meta = pod["metadata"]
    return meta["uid"], meta.get("labels"), meta.get("deletionTimestamp"), status.get("podIP"), ready
