"""What is asked about the server itself: version, health, discovery, OpenAPI."""

from __future__ import annotations

import platform

from aiohttp import web

from dask_gpu_k8s.api.builtin import kubernetes_version
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import no_such_path
from dask_gpu_k8s.local.http import discovery, openapi
from dask_gpu_k8s.local.http.answers import json_answer
from dask_gpu_k8s.local.machinery.registry import Registry
from dask_gpu_k8s.local.machinery.store import encode

OPEN = ("/version", "/healthz", "/livez", "/readyz")
"""Paths that need no token, as on a real cluster."""


def version() -> Manifest:
    """Answer ``/version``: the Kubernetes whose API this is, and that it is not that Kubernetes."""
    number = kubernetes_version()
    major, minor, _ = number.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{number}+embedded",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


class Meta:
    """Answers to questions about the server.

    Parameters
    ----------
    registry : Registry
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._documents: dict[str, tuple[int, bytes]] = {}

    def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer a path that is no object's; StatusError 404 for one that is nothing."""
        path = request.path.rstrip("/") or "/"
        if path.split("/")[1] in ("healthz", "livez", "readyz"):
            return web.Response(text="ok")
        if path == "/version":
            return json_answer(encode(version()))
        if path.startswith("/openapi/v3"):
            return json_answer(self._openapi(path[len("/openapi/v3") :].strip("/")))
        return self._discover(request, path)

    def _discover(self, request: web.BaseRequest, path: str) -> web.Response:
        kinds = self._registry.all()
        if path in ("/api", "/apis"):
            return self._roots(request, path)
        parts = path.strip("/").split("/")
        if path == "/":
            return json_answer(encode({"paths": ["/api", "/apis", "/openapi/v3", *OPEN]}))
        if parts[0] == "apis" and len(parts) == 2:
            return json_answer(encode(discovery.group(kinds, parts[1])))
        if parts[0] == "apis" and len(parts) == 3:
            return json_answer(encode(discovery.resource_list(kinds, parts[1], parts[2])))
        if parts[0] == "api" and len(parts) == 2:
            return json_answer(encode(discovery.resource_list(kinds, "", parts[1])))
        raise no_such_path()

    def _roots(self, request: web.BaseRequest, path: str) -> web.Response:
        kinds = self._registry.all()
        if "as=APIGroupDiscoveryList" in request.headers.get("Accept", "").split(",")[0]:
            answer = json_answer(encode(discovery.aggregated(kinds, core=path == "/api")))
            answer.headers["Content-Type"] = (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            )
            return answer
        if path == "/api":
            return json_answer(encode(discovery.core_versions(request.host)))
        return json_answer(encode(discovery.groups(kinds)))

    def _openapi(self, place: str) -> bytes:
        """Return a document, made once until the kinds change."""
        generation = self._registry.generation
        known = self._documents.get(place)
        if known and known[0] == generation:
            return known[1]
        kinds = self._registry.all()
        made = (
            openapi.index(kinds, generation)
            if not place
            else openapi.document(kinds, place, "Embedded Kubernetes")
        )
        self._documents[place] = (generation, encode(made))
        return self._documents[place][1]
