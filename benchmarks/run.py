"""Print each promised figure beside its goal: ``nox -s bench``.

Every figure is the median of a few runs on this machine, measured anew; nothing here is remembered.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.local import LocalKubernetes

ROOT = Path(__file__).parent.parent
PODS = 500
NOT_RUN = {
    "apiVersion": "v1",
    "kind": "Pod",
    # Another scheduler's: it is stored, listed and watched, and never run here.
    "spec": {
        "schedulerName": "nobody",
        "containers": [{"name": "main", "image": "example", "args": ["true"]}],
    },
}


def seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def import_time(module: str) -> float:
    """Seconds that a fresh interpreter takes to import a module."""
    return seconds(lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True))


def import_above_distributed(rounds: int = 7) -> float:
    """Seconds that `import dask_gpu_k8s` adds to `import distributed`, interleaved so that drift cancels."""
    pairs = [(import_time("distributed, dask_gpu_k8s"), import_time("distributed")) for _ in range(rounds)]
    return statistics.median(ours - theirs for ours, theirs in pairs)


def local_ready() -> float:
    """Seconds until API server and node of LocalKubernetes answer."""
    kubernetes = LocalKubernetes()
    try:
        return seconds(kubernetes.__enter__)
    finally:
        kubernetes.__exit__(None, None, None)


async def create_and_list_pods(kubeconfig: str) -> None:
    """Create pods that need not run, and read them back."""
    async with KubeClient.connect(kubeconfig) as kube:
        await asyncio.gather(
            *(kube.create(POD, {**NOT_RUN, "metadata": {"name": f"pod-{i}"}}) for i in range(PODS))
        )
        listed = await kube.list(POD)
        if len(listed["items"]) != PODS:
            raise SystemExit(f"{len(listed['items'])} pods listed, {PODS} created")


def pods() -> float:
    """Seconds to create and list pods through LocalKubernetes."""
    with LocalKubernetes() as kubernetes:
        return seconds(lambda: asyncio.run(create_and_list_pods(str(kubernetes.kubeconfig))))


def demo() -> float:
    """Seconds of the demo, after installation."""
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


FIGURES: list[tuple[str, Callable[[], float], int, float]] = [
    ("import dask_gpu_k8s, above import distributed", import_above_distributed, 1, 0.05),
    ("LocalKubernetes: API server and node ready", local_ready, 5, 1.0),
    (f"{PODS} pods created and listed through it", pods, 3, 5.0),
    ("demo", demo, 1, 30.0),
]


def main() -> int:
    """Measure everything; exit with 1 if a goal was missed."""
    table = Table("what", "seconds", "goal", "met", title="python benchmarks/run.py")
    missed = 0
    for name, measure, runs, goal in FIGURES:
        figure = statistics.median(measure() for _ in range(runs))
        missed += figure > goal
        table.add_row(name, f"{figure:.3f}", f"at most {goal:g}", "yes" if figure <= goal else "no")
    Console(width=100).print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
