"""Print what our port-forward takes beside kubectl's: ``python -m benchmarks.forwarding``.

Both forward to the same Pod of the same node, a round of one and a round of the other in turns: what counts
is the ratio in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.forwarding import far_end
from benchmarks.forwarding.measures import MEASURES
from benchmarks.forwarding.systems import KUBECTL, OURS, running
from benchmarks.operators.stage import namespace, until
from dask_gpu_k8s.api.conditions import holds
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from tests.e2e.node import Node

GOALS = {
    "download": ("MB/s", "at least", 1.2),
    "upload": ("MB/s", "at least", 1.4),
    "CPU, download": ("s/GB", "at most", 0.6),
    "CPU, upload": ("s/GB", "at most", 0.8),
    "round trip, p50": ("ms", "at most", 1.0),
    "round trip, p99": ("ms", "at most", 1.0),
    "new connection": ("ms", "at most", 0.8),
    "20 at once": ("ms", "at most", 1.0),
}
"""What is promised, as multiples of kubectl's."""

BESIDE = "round trip beside a download, p50"
"""Promised to be under 1 ms, whatever kubectl's is."""

Figures = dict[str, dict[str, list[float]]]


def measure(kubeconfig: Path, place: str, rounds: int) -> Figures:
    """Measure everything, in turns."""
    figures: Figures = {KUBECTL: {}, OURS: {}}
    with running(KUBECTL, kubeconfig, place) as theirs, running(OURS, kubeconfig, place) as ours:
        for number in range(rounds):
            systems = [(KUBECTL, theirs), (OURS, ours)]
            for system, forwarder in systems if number % 2 else reversed(systems):
                for one in MEASURES:
                    for what, figure in one(forwarder).items():
                        figures[system].setdefault(what, []).append(figure)
    return figures


def show(figures: Figures) -> int:
    """Print the table; return how many goals were missed."""
    table = Table("what", KUBECTL, OURS, "ratio", "goal", title="python -m benchmarks.forwarding")
    missed = 0
    for what, theirs in figures[KUBECTL].items():
        ours = figures[OURS][what]
        ratio = statistics.median(ours) / statistics.median(theirs)
        unit, word, goal = GOALS.get(what, ("ms", "under 1 ms", 0.0))
        if what == BESIDE:
            met, promise = statistics.median(ours) < 1, word
        else:
            met = ratio >= goal if word == "at least" else ratio <= goal
            promise = f"{word} {goal:g}"
        missed += not met
        cells = (
            f"{statistics.median(each):.3g} ({min(each):.3g}-{max(each):.3g}) {unit}"
            for each in (theirs, ours)
        )
        table.add_row(what, *cells, f"{ratio:.2f}", promise + ("" if met else " MISSED"))
    Console(width=140).print(table)
    return missed


async def run(kubeconfig: Path, rounds: int) -> int:
    """Put the Pod there, and measure; return how many goals were missed."""
    async with KubeClient.connect(kubeconfig) as kube, namespace(kube) as place:
        await kube.create(POD, far_end.pod(), place)

        async def is_ready() -> bool:
            return holds((await kube.get(POD, far_end.NAME, place))["status"].get("conditions"), "Ready")

        await until(is_ready, 120)
        return show(await asyncio.to_thread(measure, kubeconfig, place, rounds))


def main() -> int:
    """Run the command; exit with 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forwarding", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kubeconfig", type=Path, help="a running cluster; by default a node is started")
    options = parser.parse_args()
    if options.kubeconfig:
        return int(asyncio.run(run(options.kubeconfig, options.rounds)) > 0)
    with Node() as node:
        return int(asyncio.run(run(node.kubeconfig, options.rounds)) > 0)


if __name__ == "__main__":
    sys.exit(main())
