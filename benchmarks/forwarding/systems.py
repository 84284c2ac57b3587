"""The forwarders that are measured, each a process of its own; run as a program, this is ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.forwarding import far_end
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.portforward import PodIdentity, PortForward

PORTS = (far_end.ECHO, far_end.SOURCE, far_end.SINK)
OURS, KUBECTL = "ours", "kubectl"
LINE = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)\n")


@dataclass
class Forwarder:
    """A running forwarder.

    Attributes
    ----------
    local : dict of int to int
        Ports of the Pod, each with the local one.
    """

    process: psutil.Popen
    local: dict[int, int]

    def cpu(self) -> float:
        """Return the seconds of CPU it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def forwarding(system: str, kubeconfig: Path, namespace: str) -> Iterator[Forwarder]:
    """Run a forwarder to the far end."""
    command = _kubectl(namespace) if system == KUBECTL else [sys.executable, "-m", __name__, namespace]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    process = psutil.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield Forwarder(process, _local_ports(process))
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _kubectl(namespace: str) -> list[str]:
    program = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    ports = [f":{port}" for port in PORTS]
    return [str(program), "--namespace", namespace, "port-forward", f"pod/{far_end.NAME}", *ports]


def _local_ports(process: psutil.Popen) -> dict[int, int]:
    found: dict[int, int] = {}
    while len(found) < len(PORTS):
        line = process.stdout.readline()
        if match := LINE.fullmatch(line):
            found[int(match[2])] = int(match[1])
        elif not line:
            raise SystemExit(f"a forwarder ended at once: {process.args}")
    return found


async def _run(namespace: str) -> None:
    async with (
        KubeClient.connect() as kube,
        PortForward(kube, PodIdentity(far_end.NAME), dict.fromkeys(PORTS, 0), namespace=namespace) as forward,
    ):
        for port, local in forward.local_ports.items():
            print(f"Forwarding from 127.0.0.1:{local} -> {port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1]))
