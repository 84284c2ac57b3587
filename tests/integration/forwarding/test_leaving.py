"""What the embedded server keeps of tunnels that ended in any way: nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.spdy.client import TunnelClient
from dask_gpu_k8s.kube.spdy.events import TUNNEL_PROTOCOL, ClientEvent, Data, Failed, Pong
from dask_gpu_k8s.kube.spdy.frames import FrameEncoder, Ping, SynStream
from tests.integration.api_server.conftest import eventually
from tests.integration.forwarding.one_pod import ECHO, FLOOD, SLOW, STUCK, OnePod, one_pod


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[KubeClient, OnePod]]:
    async with one_pod(tmp_path) as world:
        yield world


@pytest.fixture
def kube(world: tuple[KubeClient, OnePod]) -> KubeClient:
    return world[0]


@pytest.fixture
def node(world: tuple[KubeClient, OnePod]) -> OnePod:
    return world[1]


async def open_tunnel(kube: KubeClient) -> aiohttp.ClientWebSocketResponse:
    return await kube.websocket(POD, "one", None, "portforward", {}, [TUNNEL_PROTOCOL])


async def cut_off(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Go without a goodbye."""
    socket._response.close()


async def close(socket: aiohttp.ClientWebSocketResponse) -> None:
    await asyncio.wait_for(socket.close(), 10)


async def send_nonsense(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_bytes(bytes(8))


async def say_goodbye(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_bytes(bytes.fromhex("80030007 00000008 00000000 00000000"))


@pytest.mark.parametrize("end", [cut_off, close, send_nonsense, say_goodbye])
@pytest.mark.parametrize("port", [ECHO, FLOOD, STUCK, SLOW])
async def test_a_tunnel_that_ends(kube, node, port, end):
    """Idle, sending what nobody reads, holding what the Pod does not take, or still connecting."""
    before = asyncio.all_tasks()
    socket = await open_tunnel(kube)
    client = TunnelClient()
    for _ in range(3):
        number = client.open(port)
        client.data(number, bytes(1 << 18))
    await socket.send_bytes(client.outgoing())
    if port in (ECHO, FLOOD):
        assert (await socket.receive()).type is aiohttp.WSMsgType.BINARY
    await end(socket)
    await eventually(node.none_connected)
    await close(socket)

    async def as_before() -> bool:
        left = {task for task in asyncio.all_tasks() - before if "_stuck" not in repr(task.get_coro())}
        return not left - {asyncio.current_task()}

    await eventually(as_before)


async def until(socket: aiohttp.ClientWebSocketResponse, client: TunnelClient, wanted: type) -> ClientEvent:
    """Send what there is to send, and read until an event of a type comes."""
    await socket.send_bytes(client.outgoing())
    while True:
        message = await asyncio.wait_for(socket.receive(), 10)
        found = [event for event in client.receive(message.data) if isinstance(event, wanted)]
        if found:
            return found[0]


async def test_a_connection_that_is_broken_off_is_let_go_of_at_once(kube, node):
    socket = await open_tunnel(kube)
    client = TunnelClient()
    numbers = [client.open(port) for port in (ECHO, FLOOD, STUCK, SLOW)]
    await until(socket, client, Data)
    for number in numbers:
        client.abandon(number)
    client.ping()
    await until(socket, client, Pong)
    await eventually(node.none_connected)
    number = client.open(100)
    assert (await until(socket, client, Failed)).connection == number
    await close(socket)


async def test_an_upload_that_is_stuck_holds_its_own_connection_back_first(kube, node):
    socket = await open_tunnel(kube)
    client = TunnelClient()
    stuck, good = client.open(STUCK), client.open(ECHO)
    for _ in range(30):
        client.data(stuck, bytes(1 << 16))
    client.data(good, b"x")
    assert await until(socket, client, Data) == Data(good, b"x")
    await cut_off(socket)


@pytest.mark.parametrize("seed", range(20))
async def test_nonsense_ends_a_tunnel_or_is_passed_over(kube, seed):
    dice = random.Random(seed)
    encoder = FrameEncoder()
    good = encoder.encode(SynStream(1, {"streamtype": "error", "port": "1", "requestid": "0"}))
    good += encoder.encode(SynStream(3, {"streamtype": "data", "port": "1", "requestid": "0"}))
    bad = bytearray(good + dice.randbytes(40))
    for _ in range(dice.randrange(4)):
        bad[dice.randrange(len(bad))] ^= dice.randrange(1, 256)
    socket = await open_tunnel(kube)
    await socket.send_bytes(bytes(bad))
    await socket.send_bytes(encoder.encode(Ping(1)))
    await close(socket)
    socket = await open_tunnel(kube)
    await socket.send_bytes(FrameEncoder().encode(Ping(1)))
    assert (await asyncio.wait_for(socket.receive(), 10)).data == FrameEncoder().encode(Ping(1))
    await close(socket)
