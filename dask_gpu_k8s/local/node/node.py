"""The node: takes the Pods that are bound to it, runs each, and opens their logs, commands and ports."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dask_gpu_k8s.api.resources import CONFIGMAP, NODE, POD, SECRET, SERVICE
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError, bad_request
from dask_gpu_k8s.local.kubeconfig import Access
from dask_gpu_k8s.local.node.addresses import Networks
from dask_gpu_k8s.local.node.cluster_network import ClusterNetwork
from dask_gpu_k8s.local.node.commands import Command, start_command
from dask_gpu_k8s.local.node.devices import Gpus, find_gpus
from dask_gpu_k8s.local.node.ends import start_error
from dask_gpu_k8s.local.node.events import Events
from dask_gpu_k8s.local.node.host import Host
from dask_gpu_k8s.local.node.mirror import Mirror
from dask_gpu_k8s.local.node.pods import GPUS_IN_USE, PodWorker
from dask_gpu_k8s.local.node.processes import Processes
from dask_gpu_k8s.local.node.registration import NODE_ADDRESS, NODE_NAME, capacity, node_object
from dask_gpu_k8s.local.node.scheduler import Scheduler
from dask_gpu_k8s.local.node.volumes import NOT_MOUNTED
from dask_gpu_k8s.local.settings import Settings
from dask_gpu_k8s.local.streams import ExecOptions, LogOptions

STOP_GRACE = 3.0
"""Seconds that Pods get when the node ends."""


@dataclass
class _Mirrors:
    """Everything that the node follows."""

    pods: Mirror
    services: Mirror
    configmaps: Mirror
    secrets: Mirror
    nodes: Mirror

    @classmethod
    def of(cls, api: Api, failed: Callable[[BaseException], None]) -> _Mirrors:
        kinds = (POD, SERVICE, CONFIGMAP, SECRET, NODE)
        return cls(*(Mirror(api, kind, failed) for kind in kinds))

    async def close(self) -> None:
        for mirror in (self.pods, self.services, self.configmaps, self.secrets, self.nodes):
            await mirror.close()


@dataclass
class _Place:
    """A Pod that runs here."""

    worker: PodWorker
    task: asyncio.Task[None] = field(repr=False)


class Node:
    """The only node of a local Kubernetes, with its scheduler and its Service network.

    Parameters
    ----------
    api : Api
    networks : Networks
    directory : pathlib.Path
        Folder of its own.
    settings : Settings
    marker : str
        ``NAME=value`` for the environment of all its processes.
    failed : callable
        Gets the error if a part of the node fails that has to go on.
    """

    def __init__(
        self,
        api: Api,
        networks: Networks,
        directory: Path,
        settings: Settings,
        marker: str,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._api = api
        self._failed = failed
        self._networks = networks
        self._directory = directory
        self._settings = settings
        self._marker = marker
        self._places: dict[str, _Place] = {}
        self._done: set[str] = set()
        """uids of Pods that have ended here and stay in the API for somebody's finalizer."""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, access: Access) -> None:
        """Register the node and begin to run Pods.

        Parameters
        ----------
        access : Access
            How Pods reach the API server.
        """
        said = self._settings.gpus
        gpus = find_gpus() if said is None else [str(index) for index in range(said)]
        amounts = capacity(cpus=self._settings.cpus, memory=self._settings.memory, gpus=len(gpus))
        self._register(node_object(amounts, "v1.34.4", datetime.now(timezone.utc)))
        self._mirrors = _Mirrors.of(self._api, self._failed)
        self._host = Host(
            api=self._api,
            events=Events(self._api, "kubelet", NODE_NAME),
            processes=Processes(),
            gpus=Gpus(gpus),
            directory=self._directory,
            name=NODE_NAME,
            address=NODE_ADDRESS,
            allocatable=amounts,
            access=access,
            path=self._settings.path,
            marker=self._marker,
            services=self._mirrors.services,
            configmaps=self._mirrors.configmaps,
            secrets=self._mirrors.secrets,
        )
        network = ClusterNetwork(
            self._api,
            self._mirrors.services,
            self._mirrors.pods,
            self._host.hosts_file,
            self._host.routes_file,
        )
        scheduler = Scheduler(self._api, self._mirrors.pods, self._mirrors.nodes, NODE_NAME)
        self._spawn(network.run(), "network")
        self._spawn(scheduler.run(), "scheduler")
        self._mirrors.pods.watch(self._pod_changed)
        for mirror in (self._mirrors.configmaps, self._mirrors.secrets):
            mirror.watch(self._configuration_changed)

    def _register(self, node: Manifest) -> None:
        self._api.create(NODE, None, node)
        status = {"status": node["status"]}
        self._api.patch(NODE, None, NODE_NAME, status, sub="status")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._check)
        self._tasks.append(task)

    def _check(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._failed(error)

    def _pod_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        if old and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            place = self._places.get(old["metadata"]["uid"])
            if place:
                place.worker.update(None)
            self._done.discard(old["metadata"]["uid"])
        if new is None or new["spec"].get("nodeName") != NODE_NAME:
            return
        uid = new["metadata"]["uid"]
        if uid in self._places:
            self._places[uid].worker.update(new)
        elif uid not in self._done:
            self._admit(new)

    def _admit(self, pod: Manifest) -> None:
        shared = bool(pod["spec"].get("hostNetwork"))
        worker = PodWorker(self._host, pod, NODE_ADDRESS if shared else self._networks.take())
        task = asyncio.get_running_loop().create_task(worker.run(), name=f"pod {pod['metadata']['name']}")
        self._places[pod["metadata"]["uid"]] = _Place(worker, task)
        task.add_done_callback(lambda _: self._dismiss(pod["metadata"]))

    def _dismiss(self, meta: Manifest) -> None:
        place = self._places.pop(meta["uid"])
        left = self._mirrors.pods.get(meta["namespace"], meta["name"])
        if left and left["metadata"]["uid"] == meta["uid"]:
            self._done.add(meta["uid"])
        self._networks.give_back(place.worker.address)
        for other in self._places.values():
            other.worker.retry(GPUS_IN_USE)
        self._check(place.task)

    def _configuration_changed(self, old: Manifest | None, new: Manifest | None) -> None:
        for place in self._places.values():
            for reason in ("CreateContainerConfigError", NOT_MOUNTED):
                place.worker.retry(reason)

    async def close(self) -> None:
        """End all Pods, within a few seconds, and stop following."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        places = list(self._places.values())
        await asyncio.gather(*(place.worker.end(STOP_GRACE) for place in places))
        for place in places:
            place.task.cancel()
        await asyncio.gather(*(place.task for place in places), return_exceptions=True)
        await self._mirrors.close()
        self._host.processes.close()
        self._networks.close()

    def _worker(self, pod: Manifest) -> PodWorker:
        place = self._places.get(pod["metadata"]["uid"])
        if place is None:
            name = pod["metadata"]["name"]
            if pod["spec"].get("nodeName"):
                raise bad_request(f"pod {name} is not running on this node")
            raise bad_request(f"pod {name} does not have a host assigned")
        return place.worker

    async def logs(self, pod: Manifest, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Return an iterator over the log of a container; see `PodStreams`."""
        log = self._worker(pod).log(container, previous=options.previous)
        name = pod["metadata"]["name"]
        if log is None and options.previous:
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        if log is None:
            reason = _waiting_reason(pod, container)
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
        return log.read(options)

    async def exec(self, pod: Manifest, container: str, command: list[str], options: ExecOptions) -> Command:
        """Start a command in a running container; see `PodStreams`."""
        run = self._worker(pod).current_run(container)
        if run is None:
            raise StatusError(500, "InternalError", f'container "{container}" is not running')
        try:
            return await start_command(self._host.processes, run.launch, command, options)
        except OSError as error:
            raise type(error)(start_error(error)) from None

    async def connect(self, pod: Manifest, port: int) -> tuple[StreamReader, StreamWriter]:
        """Open a TCP connection to a port of a Pod; see `PodStreams`."""
        return await asyncio.open_connection(self._worker(pod).address, port)


def _waiting_reason(pod: Manifest, container: str) -> str:
    status = pod.get("status") or {}
    known = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for each in known:
        if each["name"] == container:
            return str((each["state"].get("waiting") or {}).get("reason") or "ContainerCreating")
    return "ContainerCreating"
