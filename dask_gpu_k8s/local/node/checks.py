"""Single probes and hooks: HTTP, TCP and commands, each with a sentence when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import main_containers
from dask_gpu_k8s.local.node.launch import Launch
from dask_gpu_k8s.local.node.processes import Processes

_SHOWN = 1024


class Target:
    """A running container, as probes and hooks see it.

    Parameters
    ----------
    pod : Manifest
    container : mapping
    address : str
        The Pod's.
    launch : Launch
    processes : Processes
    """

    def __init__(
        self, pod: Manifest, container: Mapping[str, Any], address: str, launch: Launch, processes: Processes
    ) -> None:
        self._pod = pod
        self._container = container
        self._address = address
        self._launch = launch
        self._processes = processes

    async def check(self, probe: Mapping[str, Any]) -> str:
        """Carry out a probe; return why it failed, or nothing."""
        seconds = float(probe.get("timeoutSeconds") or 1)
        action: Callable[[Any], Awaitable[str]]
        if "exec" in probe:
            action, what = self.execute, probe["exec"]
        elif "tcpSocket" in probe:
            action, what = self._dial, probe["tcpSocket"]
        else:
            action, what = self.get, probe.get("httpGet") or {}
        try:
            return await asyncio.wait_for(action(what), seconds)
        except asyncio.TimeoutError:
            return f"no answer within {seconds:g}s"

    def port(self, wanted: int | str) -> int:
        """Return the number of a port that may be given by its name.

        Raises
        ------
        LookupError
            If the Pod has no port of that name.
        """
        if str(wanted).isdigit():
            return int(wanted)
        for container in (self._container, *main_containers(self._pod)):
            for port in container.get("ports") or []:
                if port.get("name") == wanted:
                    return int(port["containerPort"])
        raise LookupError(f"couldn't find port {wanted}")

    async def _dial(self, socket: Mapping[str, Any]) -> str:
        host = socket.get("host") or self._address
        try:
            _, writer = await asyncio.open_connection(host, self.port(socket["port"]))
        except (OSError, LookupError) as error:
            return _network_error(f"dial tcp {host}:{socket['port']}", error)
        writer.close()
        return ""

    async def get(self, request: Mapping[str, Any]) -> str:
        """Send a GET request; anything from 200 to 399 is well."""
        host = request.get("host") or self._address
        scheme = (request.get("scheme") or "HTTP").lower()
        path = request.get("path") or "/"
        url = f'Get "{scheme}://{host}:{request["port"]}{path}"'
        try:
            status = await _http_status(host, self.port(request["port"]), scheme, path, request)
        except (OSError, LookupError, ValueError) as error:
            return _network_error(url, error)
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"

    async def execute(self, action: Mapping[str, Any]) -> str:
        """Run a command in the container; its exit code and output tell."""
        reader, writer = os.pipe()
        output = bytearray()
        loop = asyncio.get_running_loop()
        os.set_blocking(reader, False)
        loop.add_reader(reader, _collect, reader, output)
        process = None
        try:
            with open(os.devnull, "rb") as nothing:  # noqa: ASYNC230 - a device, never slow
                process = self._processes.start(
                    self._launch.beside(action.get("command") or []),
                    env=self._launch.env,
                    cwd=self._launch.cwd,
                    marker=self._launch.marker,
                    files=(nothing.fileno(), writer, writer),
                )
            code = await process.ended
        except OSError as error:
            return f"command error: {error}"
        finally:
            if process is not None and not process.ended.done():
                process.kill_group()
            loop.remove_reader(reader)
            os.close(writer)
            _collect(reader, output)
            os.close(reader)
        return "" if code == 0 else bytes(output[:_SHOWN]).decode(errors="replace") or f"exit status {code}"


def _collect(reader: int, output: bytearray) -> None:
    with contextlib.suppress(BlockingIOError):
        data = os.read(reader, 65536)
        output.extend(data[: max(0, _SHOWN - len(output))])


def _network_error(what: str, error: Exception) -> str:
    text = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return f"{what}: {text}"


async def _http_status(host: str, port: int, scheme: str, path: str, request: Mapping[str, Any]) -> int:
    context = None
    if scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.34", "Accept": "*/*"}
        headers |= {each["name"]: each["value"] for each in request.get("httpHeaders") or []}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        answer = (await reader.readline()).split()
    finally:
        writer.close()
    if len(answer) < 2:
        raise ValueError("EOF")
    return int(answer[1])
