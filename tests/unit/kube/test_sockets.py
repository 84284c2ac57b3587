"""The sockets of a session are closed with it, whoever has them."""

from __future__ import annotations

import asyncio
import socket

from dask_gpu_k8s.kube.sockets import Sockets

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))


async def test_a_socket_that_no_connection_has_taken_over_is_closed():
    sockets = Sockets()
    made = sockets.make(ADDRESS)
    await sockets.close()
    assert made.fileno() == -1


async def test_a_connection_closes_its_own():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    sockets = Sockets()
    made = sockets.make(ADDRESS)
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, server.sockets[0].getsockname())
    ended = loop.create_future()

    class Ending(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            ended.set_result(None)

    await loop.create_connection(Ending, sock=made)
    await sockets.close()
    assert made.fileno() == -1
    assert ended.done()
    server.close()
    await server.wait_closed()
