import asyncio
import itertools

import psutil
import pytest
from distributed.core import Server

from dask_gpu_k8s.cluster.line import open_comm


def connections(port):
    ours = psutil.Process().net_connections("tcp")
    return [each for each in ours if each.raddr and each.raddr.port == port]


async def test_a_line_that_is_given_up_wherever_it_waits_leaves_no_connection():
    async with Server({"versions": never}) as server:
        await server.listen("tcp://127.0.0.1:0")
        for turns in itertools.count():
            opening = asyncio.ensure_future(open_comm(server.address, "foo"))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            assert connections(server.port) == []
            if called:
                break


called = []


async def never():
    called.append(True)
    await asyncio.Event().wait()
