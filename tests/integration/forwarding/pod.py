"""A Pod that echoes, sends, takes, swallows, breaks and refuses connections."""

from __future__ import annotations

from typing import Any

IMAGE = "nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12"

ECHO, SOURCE, SINK, STUCK, RESET, COUNT, REFUSED = 7000, 7001, 7002, 7003, 7004, 7005, 7009

PROGRAM = """
import asyncio, hashlib, socket, struct

ends = set()

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()

async def source(reader, writer):
    left = int(await reader.readline())
    piece = bytes(range(256)) * 256
    while left:
        writer.write(piece[:left])
        left -= len(piece[:left])
        await writer.drain()

async def sink(reader, writer):
    left, digest = int(await reader.readline()), hashlib.sha256()
    while left and (data := await reader.read(min(left, 65536))):
        digest.update(data)
        left -= len(data)
    writer.write(digest.hexdigest().encode())

async def stuck(reader, writer):
    writer.transport.pause_reading()
    await asyncio.Event().wait()

async def reset(reader, writer):
    await reader.readexactly(1)
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

async def count(reader, writer):
    writer.write(b"%d" % sum(other is not writer and not other.is_closing() for other in ends))

def counted(serve):
    async def accept(reader, writer):
        ends.add(writer)
        try:
            await serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()
            ends.discard(writer)

    return accept

async def main():
    for port, serve in enumerate((echo, source, sink, stuck, reset, count), 7000):
        await asyncio.start_server(counted(serve), "0.0.0.0", port, limit=1 << 16)
    print("listening", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def source_bytes(size: int) -> bytes:
    """Return what the Pod's `SOURCE` sends."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def pod(name: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", PROGRAM],
    }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    meta = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def service(name: str) -> dict[str, Any]:
    """Return a Service of the Pod of that name, on Dask's port."""
    spec = {"selector": {"app": name}, "ports": [{"port": 8786, "targetPort": ECHO}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
