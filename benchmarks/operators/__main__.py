"""Print what operators take beside the goals: ``python -m benchmarks.operators``, part of ``nox -s bench``.

Ours, upstream's release and a process that asks the API straight are measured one after the other on the
same node, so that what counts is their ratio in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

from benchmarks import command
from benchmarks.command import median
from benchmarks.operators import measures
from benchmarks.sheet import CONSOLE, Sheet
from benchmarks.stage import namespace
from benchmarks.systems import OURS, THEIRS, UPSTREAM, Running, running
from dask_gpu_k8s.kube.client import KubeClient

COMMAND = "python -m benchmarks.operators"
WORKERS = 500
CLUSTERS = 30


async def measure_upstream(kube: KubeClient, kubeconfig: Path, logs: Path) -> dict[str, str]:
    """Measure upstream's operator, once: it takes minutes."""
    found = {}
    async with running(THEIRS, kube, kubeconfig, logs / "upstream.log") as operator:
        for count in (10, 100):
            found[f"create {count}"] = f"{await measures.creation(kube, count):.1f} s"
        before = operator.cpu()
        found[f"create {WORKERS}"] = f"{await measures.creation(kube, WORKERS):.1f} s"
        found["cpu"] = f"{(operator.cpu() - before) / WORKERS * 1000:.1f} ms"
        found["memory"] = f"{operator.memory():.0f} MB"
        found["registered"] = f"{await measures.scale_registered_to_zero(kube, WORKERS, THEIRS):.1f} s"
        found["delete"] = f"{await measures.deletion(kube, WORKERS):.1f} s"
        found["compute"] = f"{await measures.many_that_compute(kube, CLUSTERS, 120):.0f} of {CLUSTERS}"
    CONSOLE.print(UPSTREAM, found)  # It took so long that it must not be lost.
    return found


async def measure_limit(kube: KubeClient) -> tuple[float, float]:
    """Measure how fast Pods can be created and deleted at all."""
    create = await median(lambda: measures.limit_of_creation(kube, WORKERS))
    return create, await median(lambda: measures.limit_of_deletion(kube, WORKERS))


async def measure_ours(
    sheet: Sheet, kube: KubeClient, operator: Running, theirs: dict[str, str], rounds: int
) -> None:
    """Measure ours where upstream and the limit can be compared."""
    create, delete = await measure_limit(kube)
    for count in (10, 100):
        seconds = await median(lambda count=count: measures.creation(kube, count))
        sheet.add(f"{count} workers exist", seconds, 2.0, theirs=theirs.get(f"create {count}", "-"))
    before = operator.cpu()
    seconds = await median(lambda: measures.creation(kube, WORKERS))
    cpu = (operator.cpu() - before) / WORKERS / 3 * 1000
    text = f"{create:.2f} s"
    name = f"create {WORKERS}"
    sheet.add(f"{WORKERS} workers exist", seconds, 1.7 * create, theirs=theirs.get(name, "-"), limit=text)
    sheet.add("CPU per worker", cpu, 2.0, theirs=theirs.get("cpu", "-"), unit="ms")
    sheet.add(f"memory at {WORKERS}", operator.memory(), 120, theirs=theirs.get("memory", "-"), unit="MB")
    text = f"{delete:.2f} s"
    seconds = await median(lambda: measures.scale_pending_to_zero(kube, WORKERS))
    sheet.add(f"{WORKERS} pending to 0", seconds, 3 * delete, theirs="never", limit=text)
    seconds = await measures.scale_registered_to_zero(kube, WORKERS, OURS)
    sheet.add(
        f"{WORKERS} registered to 0", seconds, 3 * delete, theirs=theirs.get("registered", "-"), limit=text
    )
    seconds = await median(lambda: measures.deletion(kube, WORKERS))
    sheet.add(f"cluster of {WORKERS} deleted", seconds, 3.0, theirs=theirs.get("delete", "-"), limit=text)
    failed = sum([CLUSTERS - await measures.many_that_compute(kube, CLUSTERS, 300) for _ in range(rounds)])
    what = f"of {rounds} times {CLUSTERS} clusters at once, without a result"
    sheet.add(what, failed, 0, theirs=theirs.get("compute", "-"), unit="clusters")


async def measure_scale(sheet: Sheet, kube: KubeClient, kubeconfig: Path, logs: Path) -> None:
    """Measure ten thousand workers: of one cluster, and of a thousand."""
    small, big = 0.0, 0.0
    async with running(OURS, kube, kubeconfig, logs / "big.log"):
        small, big = await measures.small_beside_big(kube, 10_000)
    sheet.add("a small cluster's Pods exist while one grows to 10,000", small, 1.0)
    limit = await measures.limit_of_creation(kube, 10_000)
    async with running(OURS, kube, kubeconfig, logs / "many.log") as operator, namespace(kube) as place:
        seconds = await measures.many_clusters(kube, place, 1000, 10)
        sheet.add("1,000 clusters of 10 workers exist", seconds, 2 * limit * 1.1, limit=f"{limit:.1f} s")
        await asyncio.sleep(30)  # Until every status is written.
        idle = await measures.idle_cpu(operator.cpu, 30)
        times = [await measures.one_event(kube, place, f"c{number}") for number in range(100)]
        p99 = statistics.quantiles(times, n=100)[98]
        sheet.add("one event then, p99", p99 * 1000, 100, unit="ms")
        sheet.add("idle CPU then", idle * 100, 2, unit="% of a core")
        sheet.add("memory then", operator.memory(), 400, unit="MB")
    sheet.add("one cluster of 10,000 workers exists", big, None, limit=f"{limit:.1f} s")


async def measure(options: argparse.Namespace, kubeconfig: Path, logs: Path) -> Sheet:
    """Measure everything."""
    sheet = Sheet(COMMAND, {"theirs": UPSTREAM, "limit": "limit"})
    async with KubeClient.connect(kubeconfig) as kube:
        theirs = {} if options.without_upstream else await measure_upstream(kube, kubeconfig, logs)
        async with running(OURS, kube, kubeconfig, logs / "ours.log") as operator:
            await measure_ours(sheet, kube, operator, theirs, options.rounds)
        if not options.without_scale:
            await measure_scale(sheet, kube, kubeconfig, logs)
    return sheet


def main() -> int:
    """Run the command; exit with 1 if a goal was missed."""
    parser = command.parser(COMMAND, __doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often 30 clusters are made at once")
    parser.add_argument("--without-scale", action="store_true", help="leave out ten thousand workers")
    return command.run(parser.parse_args(), measure)


if __name__ == "__main__":
    sys.exit(main())
