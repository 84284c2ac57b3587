"""The answer to one question that Dask's scheduler does not answer itself: who has work for which workers.

This text runs in schedulers, not in the operator, which puts it into their environment as a preload (see
``objects/preload.py``). It adds one handler that answers in plain data, counts what the scheduler has
counted already or looks at a sample, and changes nothing. It has to work with every supported release.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from itertools import islice
from typing import Any

import dask.config
from dask.utils import parse_timedelta
from distributed.preloading import process_preloads

SAMPLE = 1000
LEAVING = ("closing_gracefully", "closing", "closed")
OURS = ("DASK_DISTRIBUTED__SCHEDULER__PRELOAD", "DASK_DISTRIBUTED__SCHEDULER__PRELOAD_ARGV")
hidden: Any = None
Tally = defaultdict[tuple[Any, ...], tuple[float, float]]


async def dask_setup(scheduler: Any) -> None:
    """Add the handler; start what a configuration file wants to be preloaded, which this text hides."""
    global hidden

    def dask_operator_demand() -> dict[str, Any]:
        return demand(scheduler)

    scheduler.handlers["dask_operator_demand"] = dask_operator_demand
    if len(scheduler.preloads) == 1:
        env = {name: value for name, value in os.environ.items() if name not in OURS}
        config = dask.config.collect(env=env)
        wanted = [
            dask.config.get(f"distributed.scheduler.{key}", [], config=config)
            for key in ("preload", "preload-argv")
        ]
        hidden = process_preloads(scheduler, *wanted)
        await hidden.start()


async def dask_teardown(scheduler: Any) -> None:
    """End what was started."""
    if hidden is not None:
        await hidden.teardown()


def demand(scheduler: Any) -> dict[str, Any]:
    """Say how much work waits or runs, by the resources that it needs, and how each worker group is."""
    workers = scheduler.workers.values()
    # Tasks that need resources never queue: they are unrunnable, or given to a worker at once.
    needy = [task for task in scheduler.unrunnable if task.resource_restrictions]
    plain = len(scheduler.unrunnable) - len(needy)
    users = [worker for worker in workers if any(worker.used_resources.values())]
    given = [task for worker in users for task in worker.processing if task.resource_restrictions]
    work = tally(scheduler, needy)
    for needs, (count, seconds) in tally(scheduler, given).items():
        add(work, needs, count, seconds)
        # What is known of all tasks that were given to workers is what they are together.
        add(work, (), -count, -seconds)
    add(work, (), sum(len(worker.processing) for worker in workers), scheduler.total_occupancy)
    for tasks, number in ((scheduler.unrunnable, plain), (scheduler.queued, len(scheduler.queued))):
        some = list(islice((task for task in tasks if not task.resource_restrictions), SAMPLE))
        count, seconds = tally(scheduler, some)[()]
        share = number / max(1, len(some))
        add(work, (), share * count, share * seconds)
    return {
        "target_duration": parse_timedelta(dask.config.get("distributed.adaptive.target-duration")),
        "work": [
            {"needs": dict(needs), "tasks": count, "seconds": max(0.0, seconds)}
            for needs, (count, seconds) in work.items()
            if count > 0.5
        ],
        "groups": groups(scheduler),
    }


def tally(scheduler: Any, tasks: list[Any]) -> Tally:
    """Add up number and seconds of tasks by the resources that they need; of very many, by a sample."""
    some = tasks if len(tasks) <= SAMPLE else random.Random(len(tasks)).sample(tasks, SAMPLE)
    found: Tally = defaultdict(lambda: (0.0, 0.0))
    for task in some:
        # One that waits for a certain worker or machine waits for what no new worker can be.
        is_bound = (task.worker_restrictions or task.host_restrictions) and not task.loose_restrictions
        if not (is_bound and task.state == "no-worker"):
            needs = tuple(sorted((task.resource_restrictions or {}).items()))
            add(found, needs, 1.0, scheduler._get_prefix_duration(task.prefix))
    weight = len(tasks) / max(1, len(some))
    return Tally(found.default_factory, {needs: (weight * a, weight * b) for needs, (a, b) in found.items()})


def add(found: Tally, needs: tuple[Any, ...], count: float, seconds: float) -> None:
    """Add to the tasks that need the same."""
    found[needs] = found[needs][0] + count, found[needs][1] + seconds


def groups(scheduler: Any) -> dict[str, dict[str, int]]:
    """Say how each worker group is; workers that are not named after their Pod have none."""
    staying = [worker for worker in scheduler.workers.values() if worker.status.name not in LEAVING]
    free = [worker for worker in staying if not (worker.processing or worker.long_running or worker.actors)]
    for plugin in list(scheduler.plugins.values()):
        free = plugin.valid_workers_downscaling(scheduler, free)
    at_rest = {worker.address for worker in free}
    found: dict[str, dict[str, int]] = {}
    busy: dict[str, dict[str, bool]] = defaultdict(dict)
    for worker in staying:
        group, _, pod = str(worker.name).rpartition("-worker-group-worker-")
        facts = found.setdefault(group, dict.fromkeys(("workers", "threads", "nbytes", "limit"), 0))
        facts["workers"] += 1
        facts["threads"] += worker.nthreads
        facts["nbytes"] += worker.nbytes
        facts["limit"] += worker.memory_limit or 0
        # The ten hex at the end are the Pod's; what follows them is the number of a process in it.
        pod = pod[:10] if group else worker.host
        busy[group][pod] = busy[group].get(pod, False) or worker.address not in at_rest
    for group, facts in found.items():
        facts.update(pods=len(busy[group]), busy=sum(busy[group].values()))
    return found
