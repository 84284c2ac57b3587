"""What of the operator's state is shown to Prometheus: looked up whenever it asks."""

from __future__ import annotations

import os
import resource as system
import time
from collections.abc import Mapping

from dask_gpu_k8s.api.resources import DASKWORKERGROUP, Resource
from dask_gpu_k8s.kube.reflector import Reflector
from dask_gpu_k8s.kube.transport import version
from dask_gpu_k8s.operator.prometheus import Gauge, Values

STARTED = time.time()

Reflectors = Mapping[tuple[Resource, str], Reflector]
"""Reflectors by kind and namespace."""

WORKER_STATES = {"desired": "desiredReplicas", "ready": "readyReplicas", "pending": "pendingReplicas"}


def process_gauges() -> list[Gauge]:
    """Show what the process costs, under the names that every program uses."""
    return [
        Gauge("process_cpu_seconds_total", "Processor time used.", lambda: {(): _cpu_seconds()}),
        Gauge("process_resident_memory_bytes", "Memory in use.", lambda: {(): _memory()}),
        Gauge("process_start_time_seconds", "When it started, since 1970.", lambda: {(): STARTED}),
        Gauge("dask_operator_build_info", "Always 1.", lambda: {(version(),): 1.0}, "version"),
    ]


def cache_gauges(reflectors: Reflectors) -> list[Gauge]:
    """Show what is followed, and for how long nothing was heard of it."""
    return [
        Gauge(
            "dask_operator_watch_age_seconds",
            "Since the API server last said something of a kind; it does so about every minute.",
            lambda: _watch_ages(reflectors),
            "resource",
        ),
        Gauge(
            "dask_operator_resources", "Objects in the cache.", lambda: _resources(reflectors), "resource"
        ),
        Gauge(
            "dask_operator_workers", "Workers of all groups.", lambda: _workers(reflectors), "state"
        ),
    ]  # fmt: skip


def _watch_ages(reflectors: Reflectors) -> Values:
    now, ages = time.monotonic(), dict[tuple[str, ...], float]()
    longest = time.time() - STARTED
    for (kind, _), reflector in reflectors.items():
        age = min(now - reflector.last_contact, longest)
        ages[kind.plural,] = max(age, ages.get((kind.plural,), 0.0))
    return ages


def _resources(reflectors: Reflectors) -> Values:
    counts: dict[tuple[str, ...], float] = {}
    for (kind, _), reflector in reflectors.items():
        counts[kind.plural,] = counts.get((kind.plural,), 0.0) + len(reflector.store)
    return counts


def _workers(reflectors: Reflectors) -> Values:
    statuses = [
        group.get("status") or {}
        for (kind, _), reflector in reflectors.items()
        if kind == DASKWORKERGROUP
        for group in reflector.store
    ]
    return {
        (state,): float(sum(status.get(field) or 0 for status in statuses))
        for state, field in WORKER_STATES.items()
    }


def _cpu_seconds() -> float:
    used = system.getrusage(system.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory() -> float:
    try:
        with open("/proc/self/statm") as file:
            return float(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        # No such file on this system: the most that it ever was, in kilobytes.
        return system.getrusage(system.RUSAGE_SELF).ru_maxrss * 1024.0
