"""The same contract for the embedded API server and for a real one.

``pytest --kubernetes=real tests/integration/api_server`` runs it on a real one, and
``--kubernetes=api-1.31.14`` on the API server of that release alone; see ``tests/conftest.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dask_gpu_k8s.api.resources import CRD, NAMESPACE, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from tests import clusters
from tests.clusters import API_ALONE, EMBEDDED, REAL
from tests.integration.api_server.embedded import embedded_api_server
from tests.integration.api_server.gadgets import gadget_crd, gadget_resource

SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount", "serviceaccount")


@dataclass(frozen=True)
class World:
    """A cluster, a namespace of this run in it, and a foreign kind."""

    kubeconfig: Path
    namespace: str
    gadgets: Resource
    real: bool


@pytest.fixture(scope="session")
def api_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """Give an API server: its kubeconfig, and its kind."""
    if request.param == REAL:
        yield request.getfixturevalue("real_kubeconfig"), REAL
    elif request.param.startswith(API_ALONE):
        with clusters.api_alone(request.param) as path:
            yield path, request.param
    else:
        with embedded_api_server(tmp_path_factory.mktemp("api-server")) as path:
            yield path, EMBEDDED


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    """Ask until the answer is true; what happens in the background of a cluster has no event to wait for."""

    async def ask() -> Any:
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.05)

    return await asyncio.wait_for(ask(), seconds)


async def gone(kube: KubeClient, resource: Resource, name: str, namespace: str | None = None) -> bool:
    try:
        await kube.get(resource, name, namespace)
    except NotFound:
        return True
    return False


async def _prepare(kubeconfig: Path, namespace: str, group: str, *, controllers: bool) -> None:
    async with KubeClient.connect(kubeconfig) as kube:
        await kube.create(NAMESPACE, {"metadata": {"name": namespace}})
        if not controllers:
            await kube.create(SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, namespace)
        await kube.create(CRD, gadget_crd(group))

        async def established() -> bool:
            crd = await kube.get(CRD, f"gadgets.{group}")
            conditions = crd.get("status", {}).get("conditions") or []
            accepted = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
            with contextlib.suppress(NotFound):
                await kube.list(gadget_resource(group), namespace)
                await kube.get(SERVICE_ACCOUNT, "default", namespace)
                return accepted
            return False

        await eventually(established)


async def _clean(kubeconfig: Path, namespace: str, group: str) -> None:
    async with KubeClient.connect(kubeconfig) as kube:
        for item in (await kube.list(gadget_resource(group), namespace))["items"]:
            await kube.patch(
                gadget_resource(group),
                item["metadata"]["name"],
                {"metadata": {"finalizers": None}},
                namespace,
            )
        await kube.delete(CRD, f"gadgets.{group}")
        await kube.delete(NAMESPACE, namespace)


@pytest.fixture(scope="session")
def world(api_cluster: tuple[Path, str]) -> Iterator[World]:
    kubeconfig, kind = api_cluster
    mark = secrets.token_hex(3)
    namespace, group = f"contract-{mark}", f"c{mark}.example.com"
    asyncio.run(_prepare(kubeconfig, namespace, group, controllers=not kind.startswith(API_ALONE)))
    yield World(kubeconfig, namespace, gadget_resource(group), kind != EMBEDDED)
    asyncio.run(_clean(kubeconfig, namespace, group))


@pytest.fixture
async def kube(world: World) -> AsyncIterator[KubeClient]:
    async with KubeClient.connect(world.kubeconfig) as client:
        client.namespace = world.namespace
        yield client


@pytest.fixture
def gadgets(world: World) -> Resource:
    return world.gadgets


@pytest.fixture
def name() -> str:
    """Return a name that no other test uses."""
    return f"t-{secrets.token_hex(4)}"


@dataclass
class Answer:
    """An answer with its headers."""

    status: int
    body: Any
    warnings: list[str] = field(default_factory=list)


Ask = Callable[..., Awaitable[Answer]]


@pytest.fixture
def ask(kube: KubeClient) -> Ask:
    """Send what `KubeClient` has no method for."""

    async def send(method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        data = None
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with kube._transport.stream(method, path, path, headers=sent, data=data) as response:
            text = await response.text()
            warnings = response.headers.getall("Warning", [])
            parsed = json.loads(text) if text.startswith("{") else text
            return Answer(response.status, parsed, warnings)

    return send


def path_of(world: World, resource: Resource, *rest: str) -> str:
    """Write the path of a kind, or of what is below it, in this run's namespace."""
    base = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    place = f"/namespaces/{world.namespace}" if resource.namespaced else ""
    return "/".join([f"{base}{place}/{resource.plural}", *rest])


def causes(error: Any) -> dict[str, str]:
    """Return what an Invalid error complains about: field to reason."""
    listed: list[Manifest] = error.details.get("causes") or []
    return {cause["field"]: cause["reason"] for cause in listed}
