"""Print what port-forwards take beside the goals: ``python -m benchmarks.forwarding``, in ``nox -s bench``.

Ours and kubectl's forward to the same Pod, a round of one and a round of the other in turns: what counts is
their ratio in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks import command
from benchmarks.forwarding import far_end
from benchmarks.forwarding.measures import MEASURES
from benchmarks.forwarding.systems import KUBECTL, OURS, forwarding
from benchmarks.sheet import Sheet
from benchmarks.stage import namespace, until
from dask_gpu_k8s.api.conditions import holds
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient

COMMAND = "python -m benchmarks.forwarding"

GOALS = {
    "download of 1 GB": 1 / 1.2,
    "upload of 1 GB": 1 / 1.4,
    "CPU of a download of 1 GB": 0.6,
    "CPU of an upload of 1 GB": 0.8,
    "round trip of 1 KB, p50": 1.0,
    "round trip of 1 KB, p99": 1.0,
    "new connection and first round trip": 0.8,
    "20 of them at once": 1.0,
}
"""What is promised, as multiples of kubectl's."""

BESIDE = {"round trip beside a download, p50": 0.001}
"""What is promised in seconds, whatever kubectl takes."""

Figures = dict[str, dict[str, list[float]]]


def take_turns(kubeconfig: Path, place: str, rounds: int) -> Figures:
    """Measure both, so often, each being first every other time."""
    figures: Figures = {KUBECTL: defaultdict(list), OURS: defaultdict(list)}
    with forwarding(KUBECTL, kubeconfig, place) as theirs, forwarding(OURS, kubeconfig, place) as ours:
        turns = [(KUBECTL, theirs), (OURS, ours)]
        for _ in range(rounds):
            for system, forwarder in turns:
                for measure_one in MEASURES:
                    for what, seconds in measure_one(forwarder).items():
                        figures[system][what].append(seconds)
            turns.reverse()
    return figures


def fill(sheet: Sheet, figures: Figures) -> None:
    """Write the lines."""
    for what, ours in figures[OURS].items():
        unit, scale = ("s", 1) if what.endswith("GB") else ("ms", 1000)
        theirs = statistics.median(figures[KUBECTL][what])
        goal = BESIDE.get(what) or GOALS[what] * theirs
        beside = {
            "kubectl": f"{theirs * scale:.3g} {unit}",
            "ratio": f"{statistics.median(ours) / theirs:.2f}",
        }
        sheet.add(what, statistics.median(ours) * scale, goal * scale, unit=unit, **beside)


async def measure(options: argparse.Namespace, kubeconfig: Path, logs: Path) -> Sheet:
    """Put the Pod there, and measure."""
    sheet = Sheet(COMMAND, {"kubectl": "kubectl", "ratio": "ours / kubectl"})
    async with KubeClient.connect(kubeconfig) as kube, namespace(kube) as place:
        await kube.create(POD, far_end.pod(), place)

        async def is_ready() -> bool:
            pod = await kube.get(POD, far_end.NAME, place)
            return holds(pod["status"].get("conditions"), "Ready")

        await until(is_ready, 120)
        fill(sheet, await asyncio.to_thread(take_turns, kubeconfig, place, options.rounds))
    return sheet


def main() -> int:
    """Run the command; exit with 1 if a goal was missed."""
    parser = command.parser(COMMAND, __doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    return command.run(parser.parse_args(), measure)


if __name__ == "__main__":
    sys.exit(main())
