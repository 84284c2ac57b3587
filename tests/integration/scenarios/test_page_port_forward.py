"""The page's `kubectl port-forward svc/rapids-dask-cluster-service 8786:8786`, and a Client on it."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.conftest import EXAMPLES

MANIFEST = EXAMPLES / "rapids-dask-cluster.yaml"
NAME = "rapids-dask-cluster"

WAIT = (
    "import sys, dask.distributed as d; d.Client(sys.argv[1], timeout='30s').wait_for_workers(2, timeout=60)"
)

PROGRAM = """
import sys
from dask.distributed import Client

with Client(sys.argv[1], timeout="30s") as client:
    print(client.submit(sum, [1, 2]).result())
    there = client.submit(bytes, 20_000_000)
    print(len(there.result()), client.submit(len, bytes(20_000_000)).result())
"""


@pytest.mark.parametrize("target", [f"svc/{NAME}-service", f"pod/{NAME}-scheduler"])
def test_a_client_through_kubectl(kubernetes, target):
    kubernetes.kubectl("apply", "-f", str(MANIFEST))
    for what in ("condition=Ready", "jsonpath={.status.readyWorkers}=2"):
        kubernetes.kubectl("wait", f"--for={what}", f"daskcluster/{NAME}", "--timeout=90s")
    # A scheduler may be ready before it listens, and kubectl ends at the first connection that is refused.
    address = f"tcp://{NAME}-scheduler:8786"
    kubernetes.kubectl("exec", f"{NAME}-scheduler", "--", "python", "-c", WAIT, address)
    command = kubernetes.command("port-forward", target, ":8786")
    with subprocess.Popen(command, env=kubernetes.environment, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            local = re.fullmatch(r"Forwarding from 127\.0\.0\.1:(\d+) -> 8786\n", forward.stdout.readline())
            assert local
            done = kubernetes.python(PROGRAM, f"tcp://127.0.0.1:{local[1]}")
            assert done.stdout == "3\n20000000 20000000\n"
            assert forward.poll() is None
        finally:
            forward.terminate()
