import asyncio
import itertools

import psutil
import pytest
from distributed.core import Server
from distributed.versions import get_versions

from dask_gpu_k8s.cluster.line import open_comm


def connections(port):
    ours = psutil.Process().net_connections("tcp")
    return [each for each in ours if each.raddr and each.raddr.port == port]


@pytest.mark.parametrize("opens_late", [False, True])
async def test_a_line_that_is_given_up_wherever_it_waits_leaves_no_connection(opens_late):
    called = []

    async def never():
        called.append(True)
        await asyncio.Event().wait()

    async with Server({"versions": never}) as server:
        await server.listen("tcp://127.0.0.1:0")
        for turns in itertools.count():
            opening = asyncio.ensure_future(open_comm(server.address, "foo", opens_late=opens_late))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            assert connections(server.port) == []
            if called:
                break


async def test_a_way_that_opens_late_is_knocked_at_until_it_does(monkeypatch, unused_tcp_port):
    async def versions(comm=None):
        return get_versions()

    async with Server({"versions": versions}) as server:
        knocks = []
        knock = asyncio.open_connection

        async def counted(*where):
            knocks.append(where)
            if len(knocks) == 20:
                await server.listen(f"tcp://127.0.0.1:{unused_tcp_port}")
            return await knock(*where)

        monkeypatch.setattr(asyncio, "open_connection", counted)
        comm = await open_comm(f"tcp://127.0.0.1:{unused_tcp_port}", "foo", opens_late=True)
        await comm.close_rpc()
        assert knocks == [("127.0.0.1", unused_tcp_port)] * 20
