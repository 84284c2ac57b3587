"""What only the embedded server promises: a token, speed, a memory of changes, exec and port-forward."""

from __future__ import annotations

import asyncio
import io
import json
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from dask_gpu_k8s.api.conditions import find
from dask_gpu_k8s.api.resources import CONFIGMAP, NODE, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import ApiError, BadRequest, Gone, Unauthorized
from dask_gpu_k8s.kube.websocket import STDOUT, Data, ExecClient, Exit, Failure, PortForwardClient
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.http.server import Server
from dask_gpu_k8s.local.streams import ExecOptions, ExecProcess, LogOptions
from dask_gpu_k8s.local.tls import make_certificates
from tests.integration.api_server.conftest import eventually
from tests.integration.api_server.embedded import kubeconfig_for
from tests.integration.api_server.gadgets import config_map, pod


class Process:
    """A process of this machine as the server wants one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    async def wait(self) -> int:
        return await self._process.wait()

    def resize(self, width: int, height: int) -> None:
        pass

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


class BareNode:
    """Runs commands without any container; connects to ports of this machine."""

    async def logs(self, pod: Manifest, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            yield f"{container}\n".encode()
            yield f"{options}\n".encode()

        return pieces()

    async def exec(
        self, pod: Manifest, container: str, command: list[str], options: ExecOptions
    ) -> ExecProcess:
        pipe = asyncio.subprocess.PIPE
        return Process(
            await asyncio.create_subprocess_exec(
                *command, stdin=pipe if options.stdin else None, stdout=pipe, stderr=pipe
            )
        )

    async def connect(self, pod: Manifest, port: int) -> tuple[StreamReader, StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)


class Embedded:
    """A server in the loop of the test, its Api at hand."""

    def __init__(self, server: Server, api: Api, config: dict[str, Any], kube: KubeClient) -> None:
        self.server = server
        self.api = api
        self.config = config
        self.kube = kube

    def running_pod(self, name: str = "web", **spec: Any) -> None:
        self.api.create(POD, "default", pod(name, spec={"nodeName": "n", **spec}))
        self.api.patch(POD, "default", name, {"status": {"phase": "Running"}}, sub="status")


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Embedded]:
    certificates = make_certificates(["localhost"], ["127.0.0.1"])
    api = Api(window=20)
    server = Server(api, BareNode())
    port = await server.start("127.0.0.1", 0, certificates.server_context(tmp_path), "secret")
    config = kubeconfig_for(f"https://127.0.0.1:{port}", certificates.authority, "secret")
    async with KubeClient.connect(config) as kube:
        yield Embedded(server, api, config, kube)
    await server.close()


async def test_the_token_is_asked_for(embedded: Embedded) -> None:
    config = json.loads(json.dumps(embedded.config))
    config["users"][0]["user"]["token"] = "guess"
    async with KubeClient.connect(config) as kube:
        with pytest.raises(Unauthorized):
            await kube.list(POD)
        async with kube._transport.stream("GET", "/readyz", "readyz") as answer:
            assert await answer.text() == "ok"


async def test_500_pods_at_once(embedded: Embedded) -> None:
    kube = embedded.kube
    await asyncio.gather(*(kube.create(POD, pod(f"p-{index}")) for index in range(500)))
    listed = await kube.list(POD)
    assert len(listed["items"]) == 500


async def test_a_watch_beyond_the_memory_is_gone(embedded: Embedded) -> None:
    kube = embedded.kube
    first = await kube.create(CONFIGMAP, config_map("a"))
    for index in range(25):
        last = await kube.patch(CONFIGMAP, "a", {"data": {"n": str(index)}})
    with pytest.raises(Gone):
        await anext(kube.watch(CONFIGMAP, resource_version=first["metadata"]["resourceVersion"]))
    watch = kube.watch(CONFIGMAP, resource_version=last["metadata"]["resourceVersion"], timeout_seconds=1)
    assert [event async for event in watch if event["type"] != "BOOKMARK"] == []


async def test_a_list_beyond_the_memory_is_gone(embedded: Embedded) -> None:
    kube = embedded.kube
    for letter in "abc":
        await kube.create(CONFIGMAP, config_map(letter))
    page = await kube.request("GET", CONFIGMAP, params={"limit": 1})
    for index in range(25):
        await kube.patch(CONFIGMAP, "a", {"data": {"n": str(index)}})
    with pytest.raises(Gone, match="The provided continue parameter is too old"):
        await kube.request("GET", CONFIGMAP, params={"limit": 1, "continue": page["metadata"]["continue"]})


async def test_a_watcher_that_goes_is_forgotten(embedded: Embedded) -> None:
    listeners = len(embedded.api.store._listeners)
    async with KubeClient.connect(embedded.config) as kube:
        embedded.api.create(CONFIGMAP, "default", config_map("a"))
        watch = kube.watch(CONFIGMAP)
        assert (await anext(watch))["type"] == "ADDED"
        assert len(embedded.api.store._listeners) == listeners + 1
        await watch.aclose()

    async def forgotten() -> bool:
        return len(embedded.api.store._listeners) == listeners

    await eventually(forgotten)


async def test_a_server_that_stops_ends_its_watches(embedded: Embedded) -> None:
    embedded.api.create(CONFIGMAP, "default", config_map("a"))
    watch = embedded.kube.watch(CONFIGMAP)
    await anext(watch)
    start = time.perf_counter()
    await embedded.server.close()
    assert time.perf_counter() - start < 5
    assert [event async for event in watch] == []


async def test_server_side_apply_is_refused_with_the_reason(embedded: Embedded) -> None:
    kube = embedded.kube
    await kube.create(CONFIGMAP, config_map("a"))
    with pytest.raises(ApiError, match="server-side apply needs managed fields") as caught:
        await kube.request(
            "PATCH", CONFIGMAP, name="a", body=config_map("a"), content_type="application/apply-patch+yaml"
        )
    assert caught.value.status == 415


async def test_logs(embedded: Embedded) -> None:
    embedded.running_pod()
    text = await embedded.kube.logs("web", tail=3)
    assert text.startswith("main\n")
    assert "tail=3" in text
    two = [{"name": name, "image": "x"} for name in ("a", "b")]
    embedded.running_pod("two", containers=two)
    with pytest.raises(BadRequest, match=r"choose one of: \[a b\]"):
        await embedded.kube.logs("two")
    with pytest.raises(BadRequest, match="container c is not valid for pod two"):
        await embedded.kube.logs("two", container="c")


async def run_command(
    kube: KubeClient, *command: str, stdin: bytes | None = None, version: str = "v5"
) -> tuple[bytes, Exit]:
    """Run a command as kubectl does; returns its output and its end."""
    client = ExecClient()
    streams = {"stdin": str(stdin is not None).lower(), "stdout": "true", "stderr": "true"}
    query = urlencode([*(("command", word) for word in command), *streams.items()])
    path = f"/api/v1/namespaces/default/pods/web/exec?{query}"
    socket = await kube._transport.websocket(path, "exec", [f"{version}.channel.k8s.io"])
    output = b""
    async with socket:
        if stdin is not None:
            await socket.send_bytes(client.stdin(stdin))
            await socket.send_bytes(client.close_stdin())
        async for message in socket:
            event = client.receive(message.data)
            if isinstance(event, Data):
                output += event.payload
                assert event.channel == STDOUT
            elif isinstance(event, Exit):
                return output, event
    raise AssertionError("the command did not end")


async def test_exec(embedded: Embedded) -> None:
    embedded.running_pod()
    output, end = await run_command(embedded.kube, "cat", stdin=b"hello " * 50_000)
    assert end.code == 0, end
    assert output == b"hello " * 50_000
    assert end.code == 0
    assert (await run_command(embedded.kube, "sh", "-c", "exit 7"))[1].code == 7
    assert (await run_command(embedded.kube, "echo", "x", version="v4"))[0] == b"x\n"
    assert "error executing command" in (await run_command(embedded.kube, "/no/such"))[1].message


async def test_exec_needs_a_node(embedded: Embedded) -> None:
    await embedded.kube.create(POD, pod("web"))
    with pytest.raises(BadRequest, match="pod web does not have a host assigned"):
        await run_command(embedded.kube, "true")


async def test_port_forward(embedded: Embedded) -> None:
    async def echo(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    listener = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    embedded.running_pod()
    client = PortForwardClient()
    socket = await embedded.kube.websocket(
        POD, "web", None, "portforward", {"ports": port}, ["v4.channel.k8s.io"]
    )
    received = b""
    async with socket:
        await socket.send_bytes(client.data(0, b"hello\n"))
        async for message in socket:
            event = client.receive(message.data)
            received += event.payload if isinstance(event, Data) else b""
    assert received == b"HELLO\n"
    listener.close()
    await listener.wait_closed()


async def test_port_forward_to_a_closed_port_says_so(embedded: Embedded) -> None:
    embedded.running_pod()
    client = PortForwardClient()
    socket = await embedded.kube.websocket(
        POD, "web", None, "portforward", {"ports": 1}, ["v4.channel.k8s.io"]
    )
    events = []
    async with socket:
        async for message in socket:
            events.append(client.receive(message.data))
    (failure,) = [event for event in events if isinstance(event, Failure)]
    assert failure.message.startswith("error forwarding port 1 to pod web")


async def test_a_bound_pod_waits_for_its_node(embedded: Embedded) -> None:
    kube, api = embedded.kube, embedded.api
    await kube.create(POD, pod("a"))
    binding = {"target": {"kind": "Node", "name": "n"}}
    await kube.request("POST", POD, name="a", sub="binding", body=binding)
    bound = await kube.get(POD, "a")
    assert bound["spec"]["nodeName"] == "n"
    assert bound["status"]["conditions"][0]["type"] == "PodScheduled"
    with pytest.raises(ApiError, match='pod a is already assigned to node "n"'):
        await kube.request("POST", POD, name="a", sub="binding", body=binding)
    marked = await kube.delete(POD, "a", grace_seconds=5)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 5
    again = await kube.delete(POD, "a")
    assert again["metadata"] == marked["metadata"]
    shorter = await kube.delete(POD, "a", grace_seconds=2)
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 2
    api.delete(POD, "default", "a", grace_seconds=0)
    assert (await kube.list(POD))["items"] == []


async def test_an_eviction_is_a_deletion_that_says_so(embedded: Embedded) -> None:
    kube = embedded.kube
    for name in ("a", "b"):
        await kube.create(POD, pod(name))
    embedded.api.bind("default", "b", "n")
    for name in ("a", "b"):
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await kube.request("POST", POD, name=name, sub="eviction", body=body)
    (left,) = (await kube.list(POD))["items"]
    assert left["metadata"]["name"] == "b"
    assert left["metadata"]["deletionTimestamp"]
    assert find(left["status"]["conditions"], "DisruptionTarget")["reason"] == "EvictionByEvictionAPI"


async def test_a_body_that_is_too_large(embedded: Embedded) -> None:
    user, (cluster,) = embedded.config["users"][0]["user"], embedded.config["clusters"]
    path = "/api/v1/namespaces/default/configmaps"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {user['token']}"}) as session:
        data = io.BytesIO(b" " * 4 * 1024**2)
        url = cluster["cluster"]["server"] + path
        async with session.post(url, data=data, ssl=False) as answer:
            assert answer.status == 413
            assert (await answer.json())["reason"] == "RequestEntityTooLarge"


async def test_nodes_are_stored_as_any_kind(embedded: Embedded) -> None:
    made = await embedded.kube.create(NODE, {"metadata": {"name": "n"}})
    assert made["metadata"]["name"] == "n"
