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


if __name__ == "__main__":
    module, arguments = sys.argv[1:]
    print(json.dumps(live(importlib.import_module(module).KubeCluster, json.loads(arguments))))
