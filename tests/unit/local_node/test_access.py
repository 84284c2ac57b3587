"""Certificates and kubeconfigs: only who may reads them, and TLS accepts them."""

from __future__ import annotations

import asyncio
import json
import ssl

import pytest

from dask_gpu_k8s.local.kubeconfig import Access
from dask_gpu_k8s.local.tls import make_certificates


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_client_that_trusts_the_authority_trusts_the_server(tmp_path, name):
    certificates = make_certificates(["localhost"], ["127.0.0.1"])

    async def greet(_, writer):
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    context = certificates.server_context(tmp_path)
    assert list(tmp_path.iterdir()) == []
    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cadata=certificates.authority.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
    assert await reader.read() == b"hello"
    writer.close()
    await writer.wait_closed()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="example.com")
    server.close()


def test_kubeconfig_is_its_owners_alone_and_names_the_namespace(tmp_path):
    path = tmp_path / "config"
    path.write_text("old")
    path.chmod(0o644)
    Access("https://127.0.0.1:1", b"PEM", "t0ken").write(path, "team")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]
    config = json.loads(path.read_text())
    assert config["contexts"][0]["context"]["namespace"] == "team"
    assert config["users"][0]["user"] == {"token": "t0ken"}
