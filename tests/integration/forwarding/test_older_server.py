"""An API server of before Kubernetes 1.31: a port-forward is one WebSocket for each connection there."""

from __future__ import annotations

import asyncio

import pytest

from dask_gpu_k8s.kube.portforward import PodIdentity, PortForward
from dask_gpu_k8s.local.http import pods
from tests.integration.forwarding.one_pod import ECHO, one_pod


@pytest.fixture
async def kube(tmp_path, monkeypatch):
    monkeypatch.setattr(pods, "TUNNEL_PROTOCOL", "not spoken yet")
    async with one_pod(tmp_path) as (kube, _):
        yield kube


async def test_connections_go_through_each_on_its_own(kube):
    async with PortForward(kube, PodIdentity("one"), {ECHO: 0, 9: 0}) as forward:
        refused, end = await asyncio.open_connection("127.0.0.1", forward.local_ports[9])
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(refused.read(), 10)
        end.close()
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", forward.local_ports[ECHO])
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"
            writer.close()
            await writer.wait_closed()
