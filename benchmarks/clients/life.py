"""The life of one cluster, as a user of either release has it; prints when each step was, as JSON.

Runs by itself, in the release's own environment or in a Pod: ``python life.py MODULE ARGUMENTS``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

from distributed import Client


def live(make_cluster: Any, arguments: dict[str, Any]) -> dict[str, float]:
    """Make a cluster of one worker, compute, scale to two, close; say when, in seconds since the epoch."""
    when = {}
    when["called"] = time.time()
    cluster = make_cluster(**arguments)
    when["returned"] = time.time()
    with Client(cluster) as client:
        if client.submit(sum, [1, 2]).result(timeout=120) != 3:
            raise ValueError("a wrong result")
        when["computed"] = time.time()
        when["scaling"] = time.time()
        cluster.scale(2)
        when["scaled"] = time.time()
        client.wait_for_workers(2, timeout=120)
    when["closing"] = time.time()
    cluster.close()
    when["closed"] = time.time()
    return when


def with_modern_commands(module: Any, name: str, image: str, n_workers: int, **others: Any) -> dict[str, Any]:
    """Replace upstream's commands, which left Dask in 2026.6.0, in what it would make of its arguments."""
    cluster = module.make_cluster_spec(name, image=image, n_workers=n_workers)
    for role in ("scheduler", "worker"):
        container = cluster["spec"][role]["spec"]["containers"][0]
        container["args"] = ["dask", role, *container["args"][1:]]
    return {**others, "custom_cluster_spec": cluster}


if __name__ == "__main__":
    module = importlib.import_module(sys.argv[1])
    arguments = json.loads(sys.argv[2])
    if module.__name__ == "dask_kubernetes.operator":
        arguments = with_modern_commands(module, **arguments)
    print(json.dumps(live(module.KubeCluster, arguments)))
