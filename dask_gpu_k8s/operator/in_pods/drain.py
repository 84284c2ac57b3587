"""Hand over the results of a worker Pod's processes before they end: the preStop hook of worker Pods.

It runs in the worker's own container, in whatever Python there is with whatever Dask, so it needs the
standard library and msgpack. It speaks Dask's protocol as `dask_gpu_k8s.operator.schedulers.wire` explains
it, because importing distributed alone takes a second. It asks the scheduler to retire the Pod's processes,
and stays until each of their results is on a worker that stays, or until its time is up. Where there is no
scheduler, it is over in under a second; whatever happens, nothing is worse than without it.

Arguments: the seconds that it may take, and ``shared`` if the Pod has no address of its own.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import msgpack  # type: ignore[import-untyped]

CONNECTED = 0.8
GREETED = 5.0
AGAIN = 0.2


class Scheduler:
    """A connection to the scheduler."""

    def __init__(self, address: str, connected: threading.Event) -> None:
        url = urlsplit(address)
        self._socket = socket.create_connection((url.hostname, url.port or 8786))
        connected.set()
        if url.scheme == "tls":
            self._socket = _tls().wrap_socket(self._socket)
        self.own_host = self._socket.getsockname()[0]
        self._send({"compression": None, "python": tuple(sys.version_info[:3]), "pickle-protocol": 4})
        self._receive()

    def ask(self, op: str, **arguments: Any) -> Any:
        """Call one of its handlers."""
        self._send({"op": op, "reply": True, **arguments})
        return self._receive()

    def _send(self, message: Any) -> None:
        frame = msgpack.packb(message, use_bin_type=True)
        self._socket.sendall(struct.pack("<QQQ", 16 + len(frame), 1, len(frame)) + frame)

    def _receive(self) -> Any:
        _, count = struct.unpack("<QQ", self._exactly(16))
        lengths = struct.unpack(f"<{count}Q", self._exactly(8 * count))
        first, *_ = [self._exactly(length) for length in lengths]
        return msgpack.unpackb(first, raw=False, use_list=False, strict_map_key=False)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(min(count - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


def _tls() -> Any:
    import ssl

    import dask.config

    def setting(name: str) -> Any:
        return dask.config.get(f"distributed.comm.tls.{name}", None)

    context = ssl.create_default_context(cafile=setting("ca-file"))
    context.check_hostname = False
    context.load_cert_chain(setting("worker.cert"), setting("worker.key"))
    return context


def drain(scheduler: Scheduler, name: str, *, shared: bool) -> None:
    """Return when every result of this Pod's processes is on a worker that stays."""
    while True:
        workers = scheduler.ask("identity")["workers"]
        mine = [at for at, worker in workers.items() if _pod_of(worker) == name]
        if not mine and not shared:
            mine = [at for at, worker in workers.items() if worker["host"] == scheduler.own_host]
        if not mine:
            return
        scheduler.ask("retire_workers", workers=mine, remove=False, close_workers=False)
        held = {key for keys in scheduler.ask("has_what", workers=mine).values() for key in keys}
        holders = scheduler.ask("who_has", keys=list(held)) if held else {}
        # Asked after those, so that who retires meanwhile is not relied upon.
        workers = scheduler.ask("identity")["workers"]
        stay = {at for at, worker in workers.items() if worker["status"] in ("running", "paused")} - {*mine}
        if all(stay.intersection(found) for found in holders.values()):
            return
        time.sleep(AGAIN)


def _pod_of(worker: Any) -> str:
    """Return the Pod that a process is named after: where there are several, each has a number behind."""
    name = str(worker["name"])
    return name if name == os.environ["DASK_WORKER_NAME"] else re.sub(r"-\d+$", "", name)


def main() -> None:
    """Drain in a thread, because only a process that ends can be sure of its end."""
    connected, greeted, over = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        try:
            scheduler = Scheduler(os.environ["DASK_SCHEDULER_ADDRESS"], connected)
            greeted.set()
            drain(scheduler, os.environ["DASK_WORKER_NAME"], shared="shared" in sys.argv)
        except (OSError, EOFError):
            pass  # It is gone, and with it whoever the results were for.
        finally:
            for event in (connected, greeted, over):
                event.set()

    seconds = float(sys.argv[1])
    end = time.monotonic() + seconds
    threading.Thread(target=work, daemon=True).start()
    if connected.wait(min(CONNECTED, seconds)) and greeted.wait(min(GREETED, seconds)):
        over.wait(max(0.0, end - time.monotonic()))
    os._exit(0)


if __name__ == "__main__":
    main()
