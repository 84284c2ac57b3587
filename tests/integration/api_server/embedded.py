"""An embedded API server without a node, in a thread of its own: Pods stay as they are written."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from asyncio import StreamReader, StreamWriter
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import bad_request
from dask_gpu_k8s.local.http.server import Server
from dask_gpu_k8s.local.streams import ExecOptions, ExecProcess, LogOptions
from dask_gpu_k8s.local.tls import make_certificates


class NoNode:
    """What the server asks a node for, where there is none."""

    async def logs(self, pod: Manifest, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        raise bad_request(f'container "{container}" in pod "{pod["metadata"]["name"]}" is waiting to start')

    async def exec(
        self, pod: Manifest, container: str, command: list[str], options: ExecOptions
    ) -> ExecProcess:
        raise bad_request("there is no node")

    async def connect(self, pod: Manifest, port: int) -> tuple[StreamReader, StreamWriter]:
        raise ConnectionRefusedError("there is no node")


def kubeconfig_for(server: str, authority: bytes, token: str) -> dict[str, Any]:
    trust = {"server": server, "certificate-authority-data": b64encode(authority).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "embedded",
        "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "embedded"}}],
        "clusters": [{"name": "embedded", "cluster": trust}],
        "users": [{"name": "embedded", "user": {"token": token}}],
    }


@contextmanager
def embedded_api_server(folder: Path) -> Iterator[Path]:
    """Run a server until the block ends; gives its kubeconfig."""
    certificates = make_certificates(["localhost"], ["127.0.0.1"])
    token = secrets.token_urlsafe()
    kubeconfig = folder / "kubeconfig"
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = Server(Api(), NoNode())
        port = await server.start("127.0.0.1", 0, certificates.server_context(folder), token)
        config = kubeconfig_for(f"https://127.0.0.1:{port}", certificates.authority, token)
        kubeconfig.write_text(json.dumps(config))
        ready.set()
        await stop.wait()
        await server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="api-server")
    thread.start()
    assert ready.wait(10), "the server did not start"
    try:
        yield kubeconfig
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
