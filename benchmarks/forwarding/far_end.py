"""The Pod at the far end: it sends back, sends, and takes, about as fast as its machine can."""

from __future__ import annotations

from typing import Any

from tests.e2e.node import versions

NAME = "far-end"
ECHO, SOURCE, SINK = 7000, 7001, 7002

PROGRAM = f"""
import socketserver, threading

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)

class Source(socketserver.StreamRequestHandler):
    def handle(self):
        piece = bytes(1 << 20)
        while line := self.rfile.readline():
            left = int(line)
            while left:
                self.request.sendall(piece[:left])
                left -= len(piece[:left])

class Sink(socketserver.StreamRequestHandler):
    def handle(self):
        buffer = bytearray(1 << 20)
        while line := self.rfile.readline():
            left = int(line)
            while left:
                left -= self.rfile.readinto1(memoryview(buffer)[:left])
            self.request.sendall(b"x")

class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 100
    daemon_threads = True

for port, handler in (({ECHO}, Echo), ({SOURCE}, Source), ({SINK}, Sink)):
    threading.Thread(target=Server(("0.0.0.0", port), handler).serve_forever).start()
print("listening", flush=True)
"""


def pod() -> dict[str, Any]:
    """Make its manifest."""
    container = {
        "name": "main",
        "image": f"ghcr.io/dask/dask:{versions.OLDEST_DASK}",
        "command": ["python3", "-c", PROGRAM],
        "readinessProbe": {"tcpSocket": {"port": SINK}, "periodSeconds": 1},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME}, "spec": spec}
