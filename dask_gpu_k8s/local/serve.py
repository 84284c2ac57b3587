"""The process of a local Kubernetes: API server and node in one loop, until it is told to end.

It reads its settings as one line of JSON on standard input and answers with one line on standard output. It
ends on end-of-file of the former, with its owner, its watchdog, or a signal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from dask_gpu_k8s.local import watchdog
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.applying import create_all
from dask_gpu_k8s.local.http.server import Server
from dask_gpu_k8s.local.kubeconfig import Access
from dask_gpu_k8s.local.node.addresses import Networks
from dask_gpu_k8s.local.node.node import Node
from dask_gpu_k8s.local.settings import Settings
from dask_gpu_k8s.local.tls import make_certificates

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_NAMES = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]


class LocalCluster:
    """An API server and a node.

    Parameters
    ----------
    settings : Settings
    directory : pathlib.Path
        Exists and belongs to it alone.
    marker : str
        ``NAME=value`` for the environment of all its processes.
    failed : callable
        Gets the error if it cannot go on.
    """

    def __init__(
        self, settings: Settings, directory: Path, marker: str, failed: Callable[[BaseException], None]
    ) -> None:
        self._settings = settings
        self._directory = directory
        networks = Networks()
        self._api = Api(service_network=networks.services)
        self._node = Node(self._api, networks, directory, settings, marker, failed)
        self._server = Server(self._api, self._node)
        self.kubeconfig = directory / "kubeconfig"
        self.url = ""

    async def start(self) -> None:
        """Listen, register the node, and create what the settings hold.

        Raises
        ------
        OSError
            If the port is taken.
        ValueError
            If something that is to be created is refused.
        """
        certificates = make_certificates(_NAMES, [HOST])
        token = secrets.token_urlsafe(32)
        context = certificates.server_context(self._directory)
        port = await self._server.start(HOST, self._settings.port, context, token)
        self.url = f"https://{HOST}:{port}"
        access = Access(self.url, certificates.authority, token)
        access.write(self.kubeconfig)
        if self._settings.kubeconfig:
            access.write(Path(self._settings.kubeconfig))
        self._node.start(access)
        create_all(self._api, self._settings.manifests)

    async def close(self) -> None:
        """End all Pods and stop listening."""
        await self._node.close()
        await self._server.close()


async def serve(settings: Settings, directory: Path, marker: str, lifeline: int) -> int:
    """Run a local Kubernetes to its end; return an exit code."""
    ends = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ends.set)
    _at_end_of_file(sys.stdin.fileno(), ends.set)
    _at_end_of_file(lifeline, ends.set)
    if settings.owner is not None:
        _at_end_of_process(settings.owner, ends.set)

    def failed(error: BaseException) -> None:
        log.error("the node failed, so this Kubernetes ends", exc_info=error)
        ends.set()

    cluster = LocalCluster(settings, directory, marker, failed)
    try:
        await cluster.start()
    except (OSError, ValueError) as error:
        _answer({"error": f"the local Kubernetes cannot start: {error}"})
        return 1
    where = settings.kubeconfig or str(cluster.kubeconfig)
    _answer({"kubeconfig": where, "server": cluster.url, "pid": os.getpid()})
    try:
        await ends.wait()
    finally:
        await cluster.close()
    return 0


def _answer(answer: dict[str, object]) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), flush=True)


def _at_end_of_file(file: int, then: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(file, 4096):
            loop.remove_reader(file)
            then()

    loop.add_reader(file, read)


def _at_end_of_process(pid: int, then: Callable[[], None]) -> None:
    """Watch a process; its children may hold its pipe to this one open longer than it lives."""
    loop = asyncio.get_running_loop()
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        then()
        return
    except OSError:
        return  # an old kernel: the pipe has to do

    def ended() -> None:
        loop.remove_reader(file)
        os.close(file)
        then()

    loop.add_reader(file, ended)


def main() -> int:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="dask_gpu_k8s.local.serve")
    parser.add_argument("--marker", required=True)
    parser.add_argument("--directory", required=True, type=Path)
    parser.add_argument("--lifeline", required=True, type=int)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="local kubernetes: %(message)s")
    line = sys.stdin.readline()
    if not line:
        return 0
    settings = Settings.from_json(line)
    watchdog.adopt_orphans()
    try:
        return asyncio.run(serve(settings, options.directory, options.marker, options.lifeline))
    finally:
        if _ended(options.lifeline):
            watchdog.sweep(options.marker)
            shutil.rmtree(options.directory, ignore_errors=True)


def _ended(lifeline: int) -> bool:
    """Tell if the watchdog is gone, so that this process has to clear up."""
    os.set_blocking(lifeline, False)
    try:
        return os.read(lifeline, 1) == b""
    except BlockingIOError:
        return False


if __name__ == "__main__":
    sys.exit(main())
