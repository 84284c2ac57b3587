"""GPUs of this machine, and which container has which."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import all_containers, init_containers
from dask_gpu_k8s.local.node.resources import gpus_of


def find_gpus() -> list[str]:
    """Return the UUIDs of the GPUs that NVML finds and ``CUDA_VISIBLE_DEVICES`` does not hide from us.

    There are none where NVML is not installed or has no driver.
    """
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        found = [_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
    return visible(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def visible(found: Sequence[str], said: str | None) -> list[str]:
    """Choose, as CUDA does, the GPUs that ``CUDA_VISIBLE_DEVICES`` names: the others are somebody else's.

    Parameters
    ----------
    found : sequence of str
        UUIDs, in the order of their indices.
    said : str or None
        Indices and beginnings of UUIDs, with commas between; without it, all are visible.
    """
    if said is None:
        return list(found)
    chosen: list[str] = []
    for word in map(str.strip, said.split(",")):
        named = [gpu for index, gpu in enumerate(found) if word == str(index) or _begins(gpu, word)]
        if len(named) != 1:
            break  # CUDA, too, ignores what follows a word that means no device
        chosen += named
    return chosen


def _begins(gpu: str, word: str) -> bool:
    return word.startswith("GPU-") and gpu.startswith(word)


def _text(uuid: str | bytes) -> str:
    return uuid.decode() if isinstance(uuid, bytes) else uuid


def available_cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def available_memory() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Gpus:
    """Hands out GPUs to containers, each to one at a time.

    Parameters
    ----------
    ids : sequence of str
        What CUDA calls them in ``CUDA_VISIBLE_DEVICES``: indices or UUIDs.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = list(ids)
        self._taken: dict[str, list[str]] = {}

    def take(self, pod: Manifest) -> Mapping[str, Sequence[str]] | None:
        """Give a Pod its GPUs, by container; None if too few are free.

        Init containers use those of the others, before these start.
        """
        wanted = {container["name"]: gpus_of(container) for container in all_containers(pod)}
        first = {container["name"] for container in init_containers(pod)}
        together = sum(count for name, count in wanted.items() if name not in first)
        count = max([together, *(wanted[name] for name in first)])
        taken = {gpu for gpus in self._taken.values() for gpu in gpus}
        free = [gpu for gpu in self.ids if gpu not in taken]
        if len(free) < count:
            return None
        mine = self._taken[pod["metadata"]["uid"]] = free[:count]
        return _split(mine, wanted, first)

    def give_back(self, pod: Manifest) -> None:
        """Take back what a Pod had."""
        self._taken.pop(pod["metadata"]["uid"], None)


def _split(mine: Sequence[str], wanted: Mapping[str, int], first: set[str]) -> dict[str, Sequence[str]]:
    shares: dict[str, Sequence[str]] = {name: mine[: wanted[name]] for name in first}
    offset = 0
    for name, count in wanted.items():
        if name not in first:
            shares[name] = mine[offset : offset + count]
            offset += count
    return shares


def gpu_variables(gpus: Sequence[str]) -> dict[str, Any]:
    """Compute the variables by which a program sees its GPUs and no others."""
    visible = ",".join(gpus)
    return {"CUDA_VISIBLE_DEVICES": visible, "NVIDIA_VISIBLE_DEVICES": visible or "void"}
