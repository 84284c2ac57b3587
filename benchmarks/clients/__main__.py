"""Print what clients take beside the goals: ``python -m benchmarks.clients``, part of ``nox -s bench``.

Each figure is the median of a few clusters' lives, each in a process of its own. Ours take turns with Pods
that are written by hand, so that what counts is their ratio in one run.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from benchmarks import command
from benchmarks.clients import lives
from benchmarks.clients.lives import Life
from benchmarks.sheet import Sheet
from benchmarks.systems import OURS, THEIRS, UPSTREAM, running
from dask_gpu_k8s.kube.client import KubeClient

COMMAND = "python -m benchmarks.clients"
UPSTREAM_ROUNDS = 3
UPSTREAM_WAYS: dict[str, dict[str, bool]] = {"told": {"port_forward_cluster_ip": True}, "default": {}}
NODE_PORT = {"scheduler_service_type": "NodePort"}

Lives = dict[str, list[Life]]


async def live_theirs(kube: KubeClient, kubeconfig: Path, logs: Path) -> Lives:
    """Live with upstream's client and operator, told to port-forward and by default."""
    found: Lives = defaultdict(list)
    async with running(THEIRS, kube, kubeconfig, logs / "upstream.log"):
        for _ in range(UPSTREAM_ROUNDS):
            for key, arguments in UPSTREAM_WAYS.items():
                # Now and then their operator leaves the phase at Pending, and their client waits in vain.
                with contextlib.suppress(lives.Failed):
                    found[key].append(await lives.theirs(kube, kubeconfig, **arguments))
    return found


async def live_ours(kube: KubeClient, kubeconfig: Path, logs: Path, rounds: int) -> tuple[Lives, list[float]]:
    """Live with ours, by every way to the scheduler, and by hand."""
    found: Lives = defaultdict(list)
    hand = []
    async with running(OURS, kube, kubeconfig, logs / "ours.log"):
        for _ in range(rounds):
            hand.append(await lives.by_hand(kube, kubeconfig))
            found["forward"].append(await lives.ours(kube, kubeconfig))
            found["node port"].append(await lives.ours(kube, kubeconfig, **NODE_PORT))
            found["direct"].append(await lives.ours_in_pod(kube, **NODE_PORT))
    return found, hand


def fill(sheet: Sheet, ours: Lives, hand: list[float], theirs: Lives) -> None:
    """Write the lines."""
    limit = statistics.median(hand)

    def beside(figure: str) -> dict[str, str]:
        return {key: f"{median(theirs[key], figure):.3g} s" for key in theirs}

    everywhere = [life for way in ours.values() for life in way]
    sheet.add(
        "returns after Ready, by port-forward",
        median(ours["forward"], "returned_after_ready"),
        0.25,
        **beside("returned_after_ready"),
    )
    for way in ("node port", "direct"):
        what = f"returns after Ready and the Service's first connection, {way}"
        sheet.add(what, median(ours[way], "returned_after_open"), 0.1)
    for way in ("forward", "node port"):
        sheet.add(
            f"call to first result, by {way}",
            median(ours[way], "first_result"),
            1.1 * limit,
            hand=f"{limit:.3g} s",
            **beside("first_result"),
        )
    sheet.add("close(), and the resource is gone", median(everywhere, "close"), 0.3, **beside("close"))
    sheet.add("scale()", median(everywhere, "scale"), 0.02, **beside("scale"))


def median(those: Iterable[Life], figure: str) -> float:
    """Return the median of one figure."""
    return statistics.median(getattr(life, figure) for life in those)


async def measure(options: argparse.Namespace, kubeconfig: Path, logs: Path) -> Sheet:
    """Measure everything."""
    columns = {"told": f"{UPSTREAM}, told to port-forward", "default": "by default", "hand": "by hand"}
    sheet = Sheet(COMMAND, columns)
    async with KubeClient.connect(kubeconfig) as kube:
        theirs = {} if options.without_upstream else await live_theirs(kube, kubeconfig, logs)
        ours, hand = await live_ours(kube, kubeconfig, logs, options.rounds)
    fill(sheet, ours, hand, theirs)
    return sheet


def main() -> int:
    """Run the command; exit with 1 if a goal was missed."""
    parser = command.parser(COMMAND, __doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how many clusters each way")
    return command.run(parser.parse_args(), measure)


if __name__ == "__main__":
    sys.exit(main())
