"""Who goes when a worker group shrinks."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.engine.facts import WorkerFacts
from dask_gpu_k8s.operator.pods import is_running

_NAME_OF_A_POD = re.compile(r"-worker-[0-9a-f]{10}(-\d+)?$")


@dataclass(frozen=True)
class Candidate:
    """A worker Pod with what its scheduler says about it.

    Attributes
    ----------
    pod : Manifest
    workers : dict
        Its worker processes by address: several, where one Pod runs several.
    """

    pod: Manifest
    workers: Mapping[str, WorkerFacts]

    @property
    def name(self) -> str:
        """Name of the Pod."""
        return str(self.pod["metadata"]["name"])

    @property
    def is_spare(self) -> bool:
        """Whether there can be no work in it: nothing of it runs and no scheduler knows it."""
        return not self.workers and not is_running(self.pod)

    @property
    def cost(self) -> tuple[int, int]:
        """How much is lost or moved if it goes: its kind, then bytes."""
        if self.is_spare:
            return (0 if not self.pod["spec"].get("nodeName") else 1, 0)
        if not self.workers:
            return (2, 0)
        busy = any(worker.tasks for worker in self.workers.values())
        return (4 if busy else 3, sum(worker.nbytes for worker in self.workers.values()))


def match(pods: Iterable[Manifest], workers: Mapping[str, WorkerFacts]) -> list[Candidate]:
    """Find the worker processes of each Pod.

    A process belongs to the Pod that it is named after, alone or with a number (`dask worker
    --nworkers` and dask-cuda append one). One of another name belongs to the Pod whose address it has,
    unless Pods share their machine's address.

    Parameters
    ----------
    pods : iterable of Manifest
    workers : mapping
        What the scheduler said, by address; empty if it was not asked.
    """
    pods = list(pods)
    by_name: dict[str, dict[str, WorkerFacts]] = {pod["metadata"]["name"]: {} for pod in pods}
    by_host = {
        address: pod["metadata"]["name"]
        for pod in pods
        if not pod["spec"].get("hostNetwork")
        for address in _addresses(pod)
    }
    for address, worker in workers.items():
        pod_name = _named_after(worker.name, by_name) or by_host.get(worker.host)
        if pod_name:
            by_name[pod_name][address] = worker
    return [Candidate(pod, by_name[pod["metadata"]["name"]]) for pod in pods]


def choose(candidates: Iterable[Candidate], count: int, outdated: Container[str] = ()) -> list[Candidate]:
    """Choose the `count` Pods whose going costs least; of equals the youngest.

    Not scheduled comes first, then not running, not registered with the scheduler, idle, and busy
    last; among idle or busy ones, those that have to make way for newer ones anyway, and then those
    with the least data.

    Parameters
    ----------
    candidates : iterable of Candidate
    count : int
    outdated : container of str, optional
        Names of those made from another template than the present one.
    """
    if count <= 0:
        return []
    by_name = sorted(candidates, key=lambda candidate: candidate.name)
    youngest_first = sorted(by_name, key=_created, reverse=True)

    def cost(candidate: Candidate) -> tuple[int, bool, int]:
        kind, nbytes = candidate.cost
        return kind, candidate.name not in outdated, nbytes

    return sorted(youngest_first, key=cost)[:count]


def has_strangers(pods: Iterable[Manifest], workers: Mapping[str, WorkerFacts]) -> bool:
    """Say whether a scheduler knows workers that may belong to any of the Pods: it cannot be told to which.

    They have neither the name of a Pod nor its address, as with another network beside Kubernetes' own. One
    that has the name of a Pod which is gone is none.

    Parameters
    ----------
    pods : iterable of Manifest
        All worker Pods of the cluster.
    workers : mapping
        As for `match`.
    """
    unnamed = {key: worker for key, worker in workers.items() if not _NAME_OF_A_POD.search(worker.name)}
    if not unnamed:
        return False
    known = {address for candidate in match(pods, unnamed) for address in candidate.workers}
    return bool(unnamed.keys() - known)


def _addresses(pod: Manifest) -> set[str]:
    status = pod.get("status") or {}
    every = {status.get("podIP"), *(each.get("ip") for each in status.get("podIPs") or ())}
    return {address for address in every if address}


def _created(candidate: Candidate) -> str:
    return str(candidate.pod["metadata"].get("creationTimestamp") or "")


def _named_after(worker: str, pods: Mapping[str, object]) -> str | None:
    if worker in pods:
        return worker
    stem = re.sub(r"-\d+$", "", worker)
    return stem if stem in pods else None
