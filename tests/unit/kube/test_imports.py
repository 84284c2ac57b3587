"""What loading a kubeconfig may cost."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, sys
from dask_gpu_k8s.kube.client import KubeClient

async def main():
    user = {"token": "t"}
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": user}],
    }
    async with KubeClient.connect(config):
        pass

asyncio.run(main())
print("kubernetes_asyncio" in sys.modules)
"""


def test_a_client_without_plugins_does_without_the_generated_models():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
