"""A tunnel as a client of ours speaks it, to the API server of either cluster."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket as network
import struct
import time
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator

import aiohttp
import pytest

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import ApiError
from dask_gpu_k8s.kube.spdy.client import TunnelClient
from dask_gpu_k8s.kube.spdy.events import TUNNEL_PROTOCOL, ClientEvent, Data, Ended, Failed, Pong
from dask_gpu_k8s.kube.spdy.frames import (
    DataFrame,
    Frame,
    FrameDecoder,
    FrameEncoder,
    GoAway,
    Ping,
    RstStream,
    SynReply,
    SynStream,
)
from dask_gpu_k8s.kube.spdy.headers import DICTIONARY
from tests.integration.forwarding.conftest import start_pod
from tests.integration.forwarding.pod import ECHO, REFUSED, RESET, SINK, SOURCE, STUCK, source_bytes

OVER = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

Socket = aiohttp.ClientWebSocketResponse


class Tunnel:
    """A tunnel and what has come of each of its connections."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.client = TunnelClient()
        self.received: dict[int, bytearray] = defaultdict(bytearray)
        self.seen: list[ClientEvent] = []

    async def send(self) -> None:
        if data := self.client.outgoing():
            await self.socket.send_bytes(data)

    async def until(self, *wanted: ClientEvent | type[ClientEvent]) -> ClientEvent:
        """Read until one of these events has come, or one of these types."""

        async def read() -> ClientEvent:
            while True:
                await self.send()
                found = [each for each in self.seen if each in wanted or type(each) in wanted]
                if found:
                    self.seen.remove(found[0])
                    return found[0]
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, (message, self.seen)
                for event in self.client.receive(message.data):
                    if isinstance(event, Data):
                        self.received[event.connection] += event.payload
                    else:
                        self.seen.append(event)

        return await asyncio.wait_for(read(), 20)

    async def ask(self, port: int, question: bytes) -> bytes:
        """Send a question on a connection of its own, and read to the end."""
        number = self.client.open(port)
        self.client.data(number, question)
        await self.until(Ended(number))
        return bytes(self.received.pop(number, b""))


@contextlib.asynccontextmanager
async def connected(kube: KubeClient, pod: str = "one") -> AsyncIterator[Socket]:
    socket = await kube.websocket(POD, pod, None, "portforward", {}, [TUNNEL_PROTOCOL])
    try:
        yield socket
    finally:
        await asyncio.wait_for(socket.close(), 10)


@pytest.fixture
async def socket(kube: KubeClient) -> AsyncIterator[Socket]:
    async with connected(kube) as socket:
        assert socket.protocol == TUNNEL_PROTOCOL
        yield socket


@pytest.fixture
def tunnel(socket: Socket) -> Tunnel:
    return Tunnel(socket)


async def test_all_that_a_connection_needs_may_go_in_one_message(tunnel):
    assert await tunnel.ask(SOURCE, b"1000\n") == source_bytes(1000)


async def test_20_mb_each_way(tunnel):
    size = 20_000_000
    assert await tunnel.ask(SOURCE, b"%d\n" % size) == source_bytes(size)
    sent = os.urandom(size)
    number = tunnel.client.open(SINK)
    tunnel.client.data(number, b"%d\n" % size)
    for start in range(0, size, 100_000):
        tunnel.client.data(number, sent[start : start + 100_000])
        await tunnel.send()
    await tunnel.until(Ended(number))
    assert tunnel.received[number].decode() == hashlib.sha256(sent).hexdigest()


async def test_many_connections_over_one_tunnel(tunnel):
    numbers = []
    for size in range(1000, 1020):
        numbers.append(tunnel.client.open(SOURCE))
        tunnel.client.data(numbers[-1], b"%d\n" % size)
    for number, size in zip(numbers, range(1000, 1020), strict=True):
        await tunnel.until(Ended(number))
        assert tunnel.received[number] == source_bytes(size)


async def test_bytes_may_be_cut_anywhere(tunnel):
    number = tunnel.client.open(SOURCE)
    tunnel.client.data(number, b"5\n")
    for byte in tunnel.client.outgoing():
        await tunnel.socket.send_bytes(bytes((byte,)))
    await tunnel.until(Ended(number))
    assert tunnel.received[number] == source_bytes(5)


async def test_a_refused_port_fails_alone(tunnel):
    good = tunnel.client.open(ECHO)
    bad = tunnel.client.open(REFUSED)
    failed = await tunnel.until(Failed)
    assert isinstance(failed, Failed)
    assert failed.connection == bad
    assert failed.message.startswith(f"error forwarding port {REFUSED} to pod ")
    assert f"failed to connect to localhost:{REFUSED} inside namespace" in failed.message
    assert "connection refused" in failed.message
    tunnel.client.data(good, b"x")
    tunnel.client.finish(good)
    await tunnel.until(Ended(good))
    assert tunnel.received[good] == b"x"


async def test_a_connection_that_the_pod_breaks_fails(tunnel):
    number = tunnel.client.open(RESET)
    tunnel.client.data(number, b"x")
    failed = await tunnel.until(Failed)
    assert isinstance(failed, Failed)
    assert failed.connection == number
    assert f"error forwarding port {RESET} to pod " in failed.message
    assert "connection reset by peer" in failed.message
    assert await tunnel.ask(SOURCE, b"3\n") == b"\0\1\2"


async def test_the_end_of_either_side_takes_a_second(tunnel):
    number = tunnel.client.open(ECHO)
    started = time.monotonic()
    tunnel.client.finish(number)
    await tunnel.until(Ended(number))
    assert 0.8 < time.monotonic() - started < 5
    started = time.monotonic()
    assert await tunnel.ask(SOURCE, b"0\n") == b""
    assert 0.8 < time.monotonic() - started < 5


async def test_the_ends_of_both_sides_together_take_none(tunnel):
    number = tunnel.client.open(SOURCE)
    tunnel.client.data(number, b"3\n")
    while len(tunnel.received[number]) < 3:
        tunnel.client.ping()
        await tunnel.until(Pong)
    started = time.monotonic()
    tunnel.client.finish(number)
    await tunnel.until(Ended(number))
    assert time.monotonic() - started < 0.9


async def test_an_abandoned_connection_does_not_hold_the_others_back(tunnel):
    number = tunnel.client.open(SOURCE)
    tunnel.client.data(number, b"300000000\n")
    while not tunnel.received[number]:
        tunnel.client.ping()
        await tunnel.until(Pong)
    tunnel.client.finish(number)
    tunnel.client.abandon(number)
    assert await tunnel.ask(SOURCE, b"3\n") == b"\0\1\2"


async def test_an_upload_that_the_pod_does_not_take_is_held_back(tunnel):
    number = tunnel.client.open(STUCK)

    async def push() -> None:
        while True:
            tunnel.client.data(number, bytes(100_000))
            await tunnel.send()

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(push(), 1)
    # A goodbye would have to wait behind all that.
    tunnel.socket.get_extra_info("socket").shutdown(network.SHUT_RDWR)


async def test_a_tunnel_outlives_its_pod(cluster, kube):
    await asyncio.to_thread(start_pod, cluster, "two")
    async with connected(kube, "two") as socket:
        tunnel = Tunnel(socket)
        assert await tunnel.ask(SOURCE, b"1\n") == b"\0"
        await asyncio.to_thread(cluster.kubectl, "delete", "pod", "two")
        event: ClientEvent | None = None
        while not isinstance(event, Failed):
            # Its process may live on for some seconds after the object is gone.
            tunnel.client.open(ECHO)
            event = await tunnel.until(Failed, Ended)
        assert f"error forwarding port {ECHO} to pod " in event.message


async def test_another_protocol_is_refused(kube):
    with pytest.raises(ApiError):
        await kube.websocket(POD, "one", None, "portforward", {}, ["SPDY/3.1+other.k8s.io"])


async def test_the_tunnel_is_preferred_to_the_older_protocol(kube):
    offered = ["v4.channel.k8s.io", TUNNEL_PROTOCOL]
    socket = await kube.websocket(POD, "one", None, "portforward", {"ports": ECHO}, offered)
    assert socket.protocol == TUNNEL_PROTOCOL
    await socket.close()


class Raw:
    """A tunnel on which any frames may be sent."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self._encoder, self._decoder = FrameEncoder(), FrameDecoder()
        self._read: list[Frame] = []

    async def send(self, *frames: Frame) -> None:
        await self.socket.send_bytes(b"".join(map(self._encoder.encode, frames)))

    async def frames(self, count: int) -> list[Frame]:
        """Return the next frames, sorted by their streams: the real server has a worker for each of five."""
        return sorted([await self.frame() for _ in range(count)], key=lambda frame: frame.stream)

    async def frame(self) -> Frame:
        """Return the next frame of the server."""
        while not self._read:
            message = await asyncio.wait_for(self.socket.receive(), 10)
            self._read.extend(self._decoder.receive(message.data))
        return self._read.pop(0)


@pytest.fixture
def raw(socket: Socket) -> Raw:
    return Raw(socket)


def opening(kind: str, port: object = ECHO) -> dict[str, str]:
    return {"streamtype": kind, "port": str(port), "requestid": "0"}


async def test_streams_are_accepted_in_order_and_both_end(raw):
    await raw.send(SynStream(1, opening("error"), fin=True), SynStream(3, opening("data")))
    assert await raw.frames(2) == [SynReply(1, {}), SynReply(3, {})]
    await raw.send(DataFrame(3, b"x"), DataFrame(3, b"", fin=True))
    assert await raw.frame() == DataFrame(3, b"x")
    assert await raw.frames(2) == [DataFrame(1, b"", fin=True), DataFrame(3, b"", fin=True)]


@pytest.mark.parametrize("port", [0, 65536, "x", ""])
async def test_a_stream_for_no_port_is_reset_and_the_tunnel_lives(raw, port):
    await raw.send(SynStream(1, opening("error", port)))
    assert await raw.frame() == RstStream(1, 5)
    await raw.send(Ping(1))
    assert await raw.frame() == Ping(1)


async def test_a_stream_of_no_kind_is_reset(raw):
    await raw.send(SynStream(1, opening("exec")))
    assert await raw.frame() == RstStream(1, 5)


async def test_a_stream_number_that_was_passed_is_reset(raw):
    await raw.send(SynStream(5, opening("error")))
    assert await raw.frame() == SynReply(5, {})
    await raw.send(SynStream(3, opening("data")))
    assert await raw.frame() == RstStream(3, 1)


async def test_a_second_error_stream_is_complained_of(raw):
    await raw.send(SynStream(1, opening("error")), SynStream(3, opening("error")))
    text = b"error processing stream for request 0: error stream already assigned"
    frames = await raw.frames(3)
    assert DataFrame(1, text) in frames or DataFrame(3, text) in frames


async def test_even_pings_get_no_answer(raw):
    await raw.send(Ping(2), Ping(5))
    assert await raw.frame() == Ping(5)


async def test_data_for_no_stream_is_dropped(raw):
    await raw.send(DataFrame(7, b"x"), DataFrame(9, b"", fin=True), RstStream(11), Ping(1))
    assert await raw.frame() == Ping(1)


def upper_case() -> bytes:
    made = zlib.compressobj(zdict=DICTIONARY)
    plain = struct.pack(">II", 1, 4) + b"Port" + struct.pack(">I", 2) + b"80"
    rest = struct.pack(">IIH", 1, 0, 0) + made.compress(plain) + made.flush(zlib.Z_SYNC_FLUSH)
    return struct.pack(">II", 0x8003_0001, len(rest)) + rest


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(upper_case(), id="upper-case header"),
        pytest.param(struct.pack(">II", 0x8003_000A, 0), id="unknown control type"),
        pytest.param(struct.pack(">II", 0, 0), id="data on stream 0"),
        pytest.param(struct.pack(">III", 0x8003_0006, 4, 0), id="ping 0"),
        pytest.param(struct.pack(">IIII", 0x8003_0003, 8, 1, 0), id="reset without a reason"),
        pytest.param(FrameEncoder().encode(GoAway()), id="goodbye"),
        pytest.param("text", id="text"),
    ],
)
async def test_what_ends_the_tunnel(socket, sent):
    """The real server closes the WebSocket only when it is sent something more."""
    await (socket.send_str if isinstance(sent, str) else socket.send_bytes)(sent)

    async def end() -> None:
        while (await socket.receive()).type not in OVER:
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(FrameEncoder().encode(Ping(2)))

    async def poke() -> None:
        while True:
            await asyncio.sleep(0.2)
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(FrameEncoder().encode(Ping(2)))

    poking = asyncio.create_task(poke())
    await asyncio.wait_for(end(), 5)
    poking.cancel()
