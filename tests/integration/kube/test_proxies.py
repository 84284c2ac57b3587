"""Row 36: an API server behind a proxy, for requests and for WebSockets."""

from __future__ import annotations

import base64
import sys

import pytest
from aiohttp import web
from yarl import URL

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NoConfig, Unreachable
from dask_gpu_k8s.local.tls import make_certificates
from tests.integration.kube.scripted import serve
from tests.proxy import Proxy

NAME = "kubernetes.test"
"""Nobody but the proxy can find it."""


async def answer(request):
    """Do what is asked, with a WebSocket if that is asked."""
    if request.headers.get("Upgrade") != "websocket":
        return web.json_response({"metadata": {}, "items": []})
    socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
    await socket.prepare(request)
    await socket.send_bytes(b"hello")
    return socket


@pytest.fixture
def certificates():
    return make_certificates([NAME], ["127.0.0.1"])


@pytest.fixture
async def behind(certificates, tmp_path):
    """Serve as `NAME`, found by the proxy alone; give the proxy and a kubeconfig that does not name it."""
    async with serve(answer, certificates.server_context(tmp_path)) as kubeconfig:
        cluster = kubeconfig["clusters"][0]["cluster"]
        port = URL(cluster["server"]).port
        cluster["server"] = f"https://{NAME}:{port}"
        cluster["certificate-authority-data"] = base64.b64encode(certificates.authority).decode()
        yield Proxy({f"{NAME}:{port}": ("127.0.0.1", port)}), kubeconfig


async def works(kubeconfig):
    """Send a request, and open a WebSocket."""
    async with KubeClient.connect(kubeconfig) as kube:
        await kube.list(POD)
        socket = await kube.websocket(POD, "p", None, "portforward", {"ports": 1}, ["v4.channel.k8s.io"])
        assert await socket.receive_bytes() == b"hello"
        await socket.close()


def named(kubeconfig, url):
    kubeconfig["clusters"][0]["cluster"]["proxy-url"] = url


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_row_36_proxy_url_for_requests_and_websockets(behind):
    proxy, kubeconfig = behind
    async with proxy.open():
        named(kubeconfig, proxy.url)
        await works(kubeconfig)
    # A WebSocket keeps its connection to itself; the other is one that waits for requests.
    assert set(proxy.asked) == {kubeconfig["clusters"][0]["cluster"]["server"].removeprefix("https://")}


async def test_row_36_without_the_proxy_there_is_no_way(behind):
    _, kubeconfig = behind
    async with KubeClient.connect(kubeconfig) as kube:
        with pytest.raises(Unreachable):
            await kube.create(POD, {"metadata": {"name": "p"}})


async def test_row_36_a_proxy_that_wants_a_password(behind):
    proxy, kubeconfig = behind
    async with proxy.open():
        named(kubeconfig, proxy.url.replace("//", "//ana:secret@"))
        await works(kubeconfig)
    assert proxy.authorizations == {"Basic " + base64.b64encode(b"ana:secret").decode()}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TLS in TLS before 3.11")
async def test_row_36_a_proxy_that_speaks_tls(behind, certificates, tmp_path):
    proxy, kubeconfig = behind
    async with proxy.open(certificates.server_context(tmp_path)):
        named(kubeconfig, proxy.url)
        await works(kubeconfig)
    assert proxy.asked


async def test_row_36_the_environments_proxy(behind, monkeypatch):
    proxy, kubeconfig = behind
    async with proxy.open():
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        await works(kubeconfig)
        assert proxy.asked
        monkeypatch.setenv("NO_PROXY", f"other,{NAME}")
        with pytest.raises(Unreachable):
            await works(kubeconfig)


async def test_row_36_proxy_url_wins_over_the_environment(behind, monkeypatch):
    proxy, kubeconfig = behind
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", NAME)
    async with proxy.open():
        named(kubeconfig, proxy.url)
        await works(kubeconfig)


async def test_a_proxy_that_is_not_there(behind):
    _, kubeconfig = behind
    named(kubeconfig, "http://127.0.0.1:9")
    async with KubeClient.connect(kubeconfig) as kube:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            await kube.create(POD, {"metadata": {"name": "p"}})


async def test_a_proxy_of_another_kind(behind):
    _, kubeconfig = behind
    named(kubeconfig, "socks5://ana:secret@127.0.0.1:1080")
    with pytest.raises(NoConfig, match=r"proxy 127\.0\.0\.1:1080 is not an HTTP proxy") as caught:
        await KubeClient.open(kubeconfig)
    assert "secret" not in str(caught.value)


async def test_tls_server_name(behind, certificates, tmp_path):
    """The certificate is for `NAME`; the server is reached by another name."""
    proxy, kubeconfig = behind
    cluster = kubeconfig["clusters"][0]["cluster"]
    other = f"other.test:{URL(cluster['server']).port}"
    proxy = Proxy({other: ("127.0.0.1", URL(cluster["server"]).port)})
    cluster["server"] = f"https://{other}"
    async with proxy.open():
        named(kubeconfig, proxy.url)
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await works(kubeconfig)
        cluster["tls-server-name"] = NAME
        await works(kubeconfig)


async def test_insecure_skip_tls_verify(behind):
    proxy, kubeconfig = behind
    cluster = kubeconfig["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    async with proxy.open():
        named(kubeconfig, proxy.url)
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await works(kubeconfig)
        cluster["insecure-skip-tls-verify"] = True
        await works(kubeconfig)
