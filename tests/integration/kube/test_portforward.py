"""Port-forward to a Pod that echoes, sends, swallows and refuses, on a Kubernetes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
import time

import psutil
import pytest

from dask_gpu_k8s.api.resources import NAMESPACE, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import KubeError
from dask_gpu_k8s.kube.portforward import PodIdentity, PortForward
from dask_gpu_k8s.kube.portforward.listener import SPARES
from dask_gpu_k8s.kube.portforward.tunnels import DIAL_SECONDS
from dask_gpu_k8s.kube.reflector import Reflector
from tests.wire import Wire

ECHO, SOURCE, SLOW, COUNT, STUCK, REFUSED = 7000, 7001, 7002, 7003, 7004, 7009

PROMISE = 10
"""Seconds until a lost way is found again."""

PROGRAM = """
import asyncio

sent = 0

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def source(reader, writer):
    global sent
    left = int(await reader.readline())
    while left:
        piece = bytes(min(left, 65536))
        writer.write(piece)
        await writer.drain()
        left -= len(piece)
        sent += len(piece)
    writer.close()

async def slow(reader, writer):
    await reader.readline()
    for word in b"late", b"later":
        await asyncio.sleep(0.2)
        writer.write(word)
    writer.close()

async def count(reader, writer):
    writer.write(b"%d\\n" % sent)
    writer.close()

async def stuck(reader, writer):
    await asyncio.Event().wait()

async def main():
    for port, serve in enumerate((echo, source, slow, count, stuck), 7000):
        await asyncio.start_server(serve, "0.0.0.0", port)
    print("listening", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def manifest(name):
    container = {"name": "main", "image": "python", "command": ["python", "-c", PROGRAM]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def start(kube, namespace, name):
    """Create a Pod and wait until it listens."""
    await kube.create(POD, manifest(name), namespace)
    running = asyncio.Event()

    def on_change(old, new):
        if new and new["metadata"]["name"] == name and new["status"].get("phase") == "Running":
            running.set()

    reflector = Reflector(kube, POD, namespace=namespace, on_change=on_change)
    task = asyncio.create_task(reflector.run())
    await asyncio.wait_for(running.wait(), 30)
    task.cancel()
    async with contextlib.aclosing(kube.follow_logs(name, namespace)) as lines:
        async for line in lines:
            if line == "listening":
                return


@pytest.fixture
async def kube(dask_cluster):
    """Give a client whose namespace is new and holds a Pod "one" that listens."""
    async with KubeClient.connect(dask_cluster.kubeconfig) as kube:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "forward-"}}
        kube.namespace = (await kube.create(NAMESPACE, namespace))["metadata"]["name"]
        await start(kube, kube.namespace, "one")
        yield kube
        await kube.delete(NAMESPACE, kube.namespace)


@pytest.fixture
def wire(dask_cluster, tmp_path):
    """The wire to the API server."""
    with Wire(dask_cluster.kubeconfig, tmp_path) as wire:
        yield wire


def forwarded(kube, port, target=None, **options):
    return PortForward(kube, target or PodIdentity("one"), {port: 0}, **options)


def local_port(forward):
    (port,) = forward.local_ports.values()
    return port


def connect(forward, **options):
    return asyncio.open_connection("127.0.0.1", local_port(forward), **options)


@contextlib.asynccontextmanager
async def connection(forward):
    reader, writer = await connect(forward)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def push(writer):
    """Send without end."""
    while True:
        writer.write(bytes(1 << 20))
        await writer.drain()


async def echoes(forward, text=b"hello"):
    async with connection(forward) as (reader, writer):
        writer.write(text)
        return await asyncio.wait_for(reader.readexactly(len(text)), 10) == text


async def echo_to_the_end(forward):
    """Use a tunnel, and leave it idle."""
    async with connection(forward) as (reader, writer):
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_what_is_sent_arrives_over_many_connections_at_once(kube):
    async def send(forward, index):
        data = os.urandom(1 << 20) * 4 + bytes([index])
        async with connection(forward) as (reader, writer):

            async def push():
                writer.write(data)
                await writer.drain()

            pushing = asyncio.create_task(push())
            received = await reader.readexactly(len(data))
            await pushing
            return hashlib.sha256(received).digest() == hashlib.sha256(data).digest()

    async with forwarded(kube, ECHO) as forward:
        assert all(await asyncio.gather(*(send(forward, index) for index in range(8))))


async def test_the_pods_end_arrives(kube):
    async with forwarded(kube, SOURCE) as forward, connection(forward) as (reader, writer):
        writer.write(b"3000000\n")
        assert len(await asyncio.wait_for(reader.read(-1), 10)) == 3_000_000


async def test_a_pod_may_still_answer_after_the_local_end(kube):
    async with forwarded(kube, SLOW) as forward, connection(forward) as (reader, writer):
        writer.write(b"question\n")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 10) == b"latelater"


async def test_a_quiet_connection_ends_a_second_after_the_local_end(kube):
    async with forwarded(kube, ECHO) as forward, connection(forward) as (reader, writer):
        started = time.monotonic()
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 10) == b""
        assert 0.9 < time.monotonic() - started < 5


async def test_a_refused_connection_is_reset_and_the_others_stay(kube, caplog):
    async with forwarded(kube, ECHO) as good, forwarded(kube, REFUSED) as bad:
        async with connection(good) as (reader, writer):
            async with connection(bad) as (other, _):
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(other.read(), 10)
            writer.write(b"still here")
            assert await asyncio.wait_for(reader.readexactly(10), 10) == b"still here"
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert f"A connection to port {REFUSED} of the Pod failed" in warnings[0].getMessage()


async def test_the_pod_is_picked_anew_after_an_error_alone(kube):
    picked = []

    async def pick():
        name = names[0]
        picked.append(name)
        return PodIdentity(name, (await kube.get(POD, name))["metadata"]["uid"])

    names = ["one"]
    async with forwarded(kube, ECHO, pick) as forward:
        for _ in range(20):
            assert await echoes(forward)
        assert picked == ["one"]
        names[0] = "two"
        await start(kube, kube.namespace, "two")
        await kube.delete(POD, "one", grace_seconds=0)
        while True:
            with contextlib.suppress(OSError, EOFError):
                if await echoes(forward):
                    break
    assert set(picked) == {"one", "two"}
    assert len(picked) < 20


async def test_a_connection_is_held_until_there_is_a_pod(kube, caplog):
    async def pick():
        if not names:
            asked.set()
            raise KubeError("no scheduler now")
        return names[0]

    names, asked = [], asyncio.Event()
    async with forwarded(kube, ECHO, pick) as forward:
        waiting = asyncio.create_task(echoes(forward))
        await asked.wait()
        names.append(PodIdentity("one"))
        assert await waiting
        assert await echoes(forward)
    assert caplog.text.count("no scheduler now") == 1


async def test_a_local_reader_that_stops_holds_the_pod_back(kube):
    async with forwarded(kube, SOURCE) as forward, forwarded(kube, COUNT) as counter:
        reader, writer = await connect(forward, limit=1 << 16)
        before = psutil.Process().memory_info().rss
        writer.write(b"1000000000\n")
        counts = []
        while len(counts) < 2 or not counts[-1] or counts[-1] != counts[-2]:
            await asyncio.sleep(0.3)
            async with connection(counter) as (lines, _):
                counts.append(int(await lines.readline()))
        assert 0 < counts[-1] < 100_000_000
        assert psutil.Process().memory_info().rss - before < 30_000_000
        writer.transport.abort()
        started = time.monotonic()
    assert time.monotonic() - started < 5
    del reader


async def test_nothing_is_left_after_close(kube):
    def sockets():
        return len(psutil.Process().net_connections())

    assert await kube.get(POD, "one")
    tasks, threads, before = asyncio.all_tasks(), threading.active_count(), sockets()
    forward = forwarded(kube, ECHO)
    await forward.start()
    await echoes(forward)
    ends = [await connect(forward) for _ in range(5)]
    for reader, writer in ends:
        writer.write(b"x")
        await reader.readexactly(1)
    await forward.close()
    await forward.close()
    for reader, writer in ends:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert asyncio.all_tasks() == tasks
    assert threading.active_count() == threads
    for _ in range(50):  # TLS says goodbye within the next turns of the loop.
        if sockets() > before:
            await asyncio.sleep(0)
    assert sockets() <= before
    with pytest.raises(ConnectionRefusedError):
        await connect(forward)


async def test_a_local_port_may_be_chosen_and_may_be_taken(kube):
    async with forwarded(kube, ECHO) as forward:
        with pytest.raises(OSError, match="address already in use"):
            await PortForward(kube, PodIdentity("one"), {ECHO: local_port(forward)}).__aenter__()


async def test_a_pod_that_stops_reading_holds_the_local_side_back_and_can_be_left(kube):
    async with forwarded(kube, STUCK) as forward:
        _, writer = await connect(forward)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(push(writer), 1)
        writer.transport.abort()
        started = time.monotonic()
    assert time.monotonic() - started < 5


async def test_one_that_stops_holds_up_no_other(kube):
    """Neither who does not read what the Pod sends, nor a Pod that does not take what it is sent."""
    async with PortForward(kube, PodIdentity("one"), {SOURCE: 0, STUCK: 0, ECHO: 0}) as forward:
        _, unread = await asyncio.open_connection("127.0.0.1", forward.local_ports[SOURCE], limit=1 << 16)
        unread.write(b"1000000000\n")
        _, untaken = await asyncio.open_connection("127.0.0.1", forward.local_ports[STUCK])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(push(untaken), 1)
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.local_ports[ECHO])
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"
            writer.close()
            await writer.wait_closed()
        for writer in (unread, untaken):
            writer.transport.abort()


async def test_tunnels_are_used_again(kube, wire):
    async with KubeClient.connect(wire.kubeconfig) as client:
        client.namespace = kube.namespace
        async with forwarded(client, ECHO) as forward:
            for _ in range(100):
                assert await echoes(forward)
    assert wire.opened < 30


async def test_row_3_who_finds_no_pod_waits_longer_and_longer(kube):
    async def pick():
        nonlocal picks
        picks += 1
        raise KubeError("no scheduler now")

    picks = 0
    async with forwarded(kube, ECHO, pick) as forward:
        ends = [await connect(forward) for _ in range(20)]
        await asyncio.sleep(3)
        for _, writer in ends:
            writer.transport.abort()
    assert picks <= 16


async def test_row_3_what_the_network_has_forgotten_is_found_out(kube, wire):
    """As after a laptop's sleep: nobody says that the connections are gone."""
    async with KubeClient.connect(wire.kubeconfig) as client:
        client.namespace = kube.namespace
        async with forwarded(client, ECHO) as forward, connection(forward) as (reader, writer):
            writer.write(b"x")
            assert await asyncio.wait_for(reader.readexactly(1), 10) == b"x"
            # Spare tunnels have to stand: by their silence it is known that the network is to blame.
            await asyncio.gather(*(echo_to_the_end(forward) for _ in range(SPARES)))
            wire.forget()
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.readexactly(1), PROMISE)
            assert await echoes(forward)


async def test_row_3_tunnels_that_the_network_forgot_when_they_were_dialled_hold_up_no_others(kube, wire):
    async with KubeClient.connect(wire.kubeconfig) as client:
        client.namespace = kube.namespace
        wire.pause()
        async with forwarded(client, ECHO) as forward:
            while wire.opened < SPARES:  # noqa: ASYNC110  # It counts in a thread of its own.
                await asyncio.sleep(0.01)
            wire.forget()
            wire.resume()
            assert await asyncio.wait_for(echoes(forward), DIAL_SECONDS - 1)


async def test_row_3_who_cannot_be_asked_for_the_pod_is_asked_again(kube):
    async def pick():
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.Event().wait()
        return PodIdentity("one")

    asked = 0
    async with forwarded(kube, ECHO, pick) as forward:
        assert await asyncio.wait_for(echoes(forward), DIAL_SECONDS - 1)


async def test_row_3_a_cut_resets_what_was_on_it_and_nothing_is_left(kube, wire):
    async with KubeClient.connect(wire.kubeconfig) as client:
        client.namespace = kube.namespace
        assert await client.get(POD, "one")
        await asyncio.sleep(0)
        tasks, files = asyncio.all_tasks(), psutil.Process().num_fds()
        async with forwarded(client, ECHO) as forward:
            for _ in range(5):
                async with connection(forward) as (reader, writer):
                    writer.write(b"x")
                    assert await asyncio.wait_for(reader.readexactly(1), 10) == b"x"
                    wire.cut()
                    with pytest.raises(ConnectionResetError):
                        await asyncio.wait_for(reader.readexactly(1), 10)
            assert await echoes(forward)
        wire.cut()
        assert asyncio.all_tasks() == tasks
        for _ in range(50):  # TLS says goodbye within the next turns of the loop.
            await asyncio.sleep(0)
        assert psutil.Process().num_fds() <= files
