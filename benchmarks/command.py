"""What the commands of all benchmarks on a real node have in common."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.sheet import Sheet
from tests.e2e.node import Node


def parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the options that all have."""
    made = argparse.ArgumentParser(prog=command, description=description)
    made.add_argument("--without-upstream", action="store_true", help="leave out upstream's release")
    made.add_argument("--kubeconfig", type=Path, help="a running node; by default one is started")
    made.add_argument("--logs", type=Path, help="folder for the logs of the operators")
    return made


def run(
    options: argparse.Namespace, measure: Callable[[argparse.Namespace, Path, Path], Awaitable[Sheet]]
) -> int:
    """Measure on a node and print the sheet; return 1 if a goal was missed."""

    async def on(kubeconfig: Path, logs: Path) -> int:
        sheet = await measure(options, kubeconfig, logs)
        sheet.print()
        return int(sheet.missed > 0)

    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        logs = options.logs or Path(folder)
        if options.kubeconfig:
            return asyncio.run(on(options.kubeconfig, logs))
        with Node() as node:
            return asyncio.run(on(node.kubeconfig, logs))


async def median(measure: Callable[[], Awaitable[float]], rounds: int = 3) -> float:
    """Measure a few times."""
    return statistics.median([await measure() for _ in range(rounds)])
