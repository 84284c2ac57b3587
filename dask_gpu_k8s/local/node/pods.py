"""A Pod on this node: decides again whenever something has happened to it, and does what is decided."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.node import ends
from dask_gpu_k8s.local.node.checks import Target
from dask_gpu_k8s.local.node.environment import NotConfigured, Surroundings
from dask_gpu_k8s.local.node.facts import ContainerFacts, Ended, PodFacts, Run, all_containers, full_name
from dask_gpu_k8s.local.node.host import Host
from dask_gpu_k8s.local.node.launch import PodFiles, prepare
from dask_gpu_k8s.local.node.lifecycle import (
    Action,
    Expire,
    Remove,
    Start,
    Stop,
    backing_off,
    decide,
    is_over,
)
from dask_gpu_k8s.local.node.logs import Log
from dask_gpu_k8s.local.node.run import ContainerRun, Report
from dask_gpu_k8s.local.node.status import pod_status
from dask_gpu_k8s.local.node.support import unsupported
from dask_gpu_k8s.local.node.volumes import NotMounted

GPUS_IN_USE = "GPUsInUse"
_UNSEEN_GRACE = 2
"""Seconds for a Pod that was taken out of the API without waiting for the node."""

_run_numbers = itertools.count(1)


def _now() -> datetime:
    return datetime.now(timezone.utc)


class PodWorker:
    """Runs one Pod from its binding to its removal.

    Parameters
    ----------
    host : Host
    pod : Manifest
    address : str
        The Pod's own.
    """

    def __init__(self, host: Host, pod: Manifest, address: str) -> None:
        self._host = host
        self._pod = pod
        self._gone = False
        self._wake = asyncio.Event()
        self._facts = PodFacts(address, host.address, _now())
        self._gpus: Mapping[str, Sequence[str]] | None = None
        self._files = PodFiles(host, pod, address)
        self._runs: dict[str, ContainerRun] = {}
        self._logs: dict[str, Log] = {}

    @property
    def address(self) -> str:
        """The Pod's address."""
        return self._facts.address

    def update(self, pod: Manifest | None) -> None:
        """Take note of a new manifest; None if the Pod was taken out of the API."""
        if pod is None:
            self._gone = True
            meta = {**self._pod["metadata"], "deletionGracePeriodSeconds": _UNSEEN_GRACE}
            meta.setdefault("deletionTimestamp", "now")
            pod = {**self._pod, "metadata": meta}
        self._pod = pod
        self._wake.set()

    def retry(self, reason: str) -> None:
        """Try again what was hindered by a problem of this kind."""
        for name, known in self._facts.containers.items():
            if known.problem and known.problem.reason == reason:
                self._note(name, replace(known, problem=None))

    async def run(self) -> None:
        """Run the Pod until it is removed."""
        try:
            while not self._step():
                await self._next()
        finally:
            for run in self._runs.values():
                run.process.kill_all()
            self._host.gpus.give_back(self._pod)
            self._files.remove()

    async def _next(self) -> None:
        """Wait until something happens, or a decision becomes due."""
        due = decide(self._pod, self._facts, _now()).wake
        seconds = None if due is None else max(0.0, (due - _now()).total_seconds())
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def _step(self) -> bool:
        """Decide and act until nothing is left to do now; tell if the Pod is done with."""
        while True:
            self._wake.clear()
            before = self._facts
            actions = decide(self._pod, before, _now()).actions
            for action in actions:
                self._carry_out(action)
            self._write_status()
            if any(isinstance(action, Remove) for action in actions):
                self._remove()
                return True
            if self._facts == before:
                return False

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, Start):
            self._start(next(c for c in all_containers(self._pod) if c["name"] == action.container))
        elif isinstance(action, Stop):
            self._stop(action)
        elif isinstance(action, Expire):
            self._facts = replace(self._facts, expired=True)
            message = "Pod was active on the node longer than the specified deadline"
            self._host.events.warning(self._pod, "DeadlineExceeded", message)

    def _note(self, name: str, known: ContainerFacts) -> None:
        self._facts = self._facts.with_container(name, known)
        self._wake.set()

    def _start(self, container: Mapping[str, Any]) -> None:
        name = container["name"]
        run = f"{self._pod['metadata']['uid'][:8]}-{next(_run_numbers)}"
        known = self._facts.of(name)
        log = Log(self._files.log(run))
        try:
            gpus = self._devices()[name]
            launch = prepare(self._host, self._files, self._around(), container, gpus, run)
            target = Target(self._pod, container, self.address, launch, self._host.processes)
            self._runs[name] = ContainerRun(
                container, launch, target, log, self._host.processes, self._report(name, run)
            )
        except NotConfigured as error:
            log.finish()
            self._tell_hindrance(name, error)
            self._note(name, replace(known, problem=error.problem))
            return
        except OSError as error:
            self._could_not_start(container, run, error)
            return
        finally:
            self._logs[run] = log
        self._announce(container)
        self._note(name, known.start(Run(run, _now()), started=False, ready=False))

    def _devices(self) -> Mapping[str, Sequence[str]]:
        """Return the GPUs of each container, if this node can run the Pod at all."""
        complaint = unsupported(self._pod, user=os.getuid())
        if complaint:
            raise NotConfigured(complaint, "CreateContainerError")
        if self._gpus is None:
            self._gpus = self._host.gpus.take(self._pod)
        if self._gpus is None:
            raise NotConfigured("its GPUs are still in use by a Pod that is ending", GPUS_IN_USE)
        return self._gpus

    def _around(self) -> Surroundings:
        namespace = self._pod["metadata"]["namespace"]
        return Surroundings(
            pod=self._pod,
            address=self.address,
            host=self._host.address,
            allocatable=self._host.allocatable,
            services=self._host.services.in_namespace(namespace),
            lookup=lambda kind, name: self._host.lookup(kind, namespace, name),
            always=self._host.api_variables(),
        )

    def _tell_hindrance(self, name: str, error: NotConfigured) -> None:
        if isinstance(error, NotMounted):
            self._host.events.warning(self._pod, "FailedMount", str(error))
        else:
            self._tell(name, "Warning", "Failed", f"Error: {error}")

    def _announce(self, container: Mapping[str, Any]) -> None:
        name = container["name"]
        if not self._facts.of(name).ever_started:
            message = (
                f'Image "{container.get("image", "")}" is not pulled: the container runs as a process of '
                "this machine in this Python environment"
            )
            self._tell(name, "Normal", "ImageNotPulled", message)
        self._tell(name, "Normal", "Created", f"Created container: {name}")
        self._tell(name, "Normal", "Started", f"Started container {name}")

    def _could_not_start(self, container: Mapping[str, Any], run: str, error: OSError) -> None:
        name = container["name"]
        message = ends.start_error(error)
        self._tell(name, "Warning", "Failed", f"Error: {message}")
        known = self._facts.of(name).begin(_now())
        self._note(name, known.end(Ended(run, None, _now(), 128, "StartError", message)))
        self._say_backing_off(name)

    def _stop(self, action: Stop) -> None:
        name = action.container
        run = self._runs.get(name)
        known = self._facts.of(name)
        if run is not None and run.stop(action.grace):
            self._tell(name, "Normal", "Killing", action.why)
        if not known.stopping:
            self._note(name, replace(known, stopping=True))

    def _report(self, name: str, run: str) -> Report:
        def change(**values: Any) -> None:
            known = self._facts.of(name)
            if known.running and known.running.id == run and replace(known, **values) != known:
                self._note(name, replace(known, **values))

        return Report(
            started=lambda: change(started=True),
            ready=lambda ready: change(ready=ready),
            unhealthy=lambda why: change(unhealthy=why, ready=False),
            warning=lambda reason, message: self._tell(name, "Warning", reason, message),
            ended=lambda code: self._ended(name, run, code),
        )

    def _ended(self, name: str, run: str, code: int) -> None:
        container = next(c for c in all_containers(self._pod) if c["name"] == name)
        known = self._facts.of(name)
        started = known.running.started if known.running else None
        message = ends.last_words(container, self._logs[run].path) if code else ""
        self._note(name, known.end(ends.ended(run, started, _now(), code, message)))
        self._forget_logs(name)
        self._say_backing_off(name)

    def _say_backing_off(self, name: str) -> None:
        if backing_off(self._pod, self._facts, name, _now()):
            message = f"Back-off restarting failed container {name} in pod {full_name(self._pod)}"
            self._tell(name, "Warning", "BackOff", message)

    def _forget_logs(self, name: str) -> None:
        """Keep the logs that can still be asked for: of this run and the last two."""
        facts = self._facts.containers.values()
        kept = {run.id for known in facts for run in (known.running, known.ended, known.before) if run}
        for run in [run for run in self._logs if run not in kept]:
            self._logs.pop(run).path.unlink(missing_ok=True)

    def _tell(self, container: str, kind: str, reason: str, message: str) -> None:
        write = self._host.events.normal if kind == "Normal" else self._host.events.warning
        write(self._pod, reason, message, f"spec.containers{{{container}}}")

    def _write_status(self) -> None:
        meta = self._pod["metadata"]
        if self._gone:
            return
        try:
            current = self._host.api.get(POD, meta["namespace"], meta["name"])
            if current["metadata"]["uid"] != meta["uid"]:
                return
            status = pod_status(current, self._facts, _now())
            if status != current.get("status"):
                new = {**current, "status": status}
                self._pod = self._host.api.update(POD, meta["namespace"], meta["name"], new, sub="status")
        except StatusError as error:
            if error.code != 404:
                raise

    def _remove(self) -> None:
        meta = self._pod["metadata"]
        if self._gone:
            return
        try:
            self._host.api.delete(POD, meta["namespace"], meta["name"], uid=meta["uid"], grace_seconds=0)
        except StatusError as error:
            if error.code not in (404, 409):
                raise

    def current_run(self, container: str) -> ContainerRun | None:
        """Return the run of a container that goes on, if one does."""
        known = self._facts.of(container)
        return self._runs.get(container) if known.running else None

    def log(self, container: str, *, previous: bool) -> Log | None:
        """Return the log of a container's run, or of the one before; None if there is none."""
        known = self._facts.of(container)
        runs = [run for run in (known.running, known.ended, known.before) if run]
        if previous and not known.running and backing_off(self._pod, self._facts, container, _now()):
            wanted = runs[:1]
        else:
            wanted = runs[1:2] if previous else runs[:1]
        return self._logs.get(wanted[0].id) if wanted else None

    @property
    def is_over(self) -> bool:
        """Whether nothing runs and nothing will."""
        return is_over(self._pod, self._facts)

    async def end(self, grace: float) -> None:
        """End all containers, for the node itself ends."""
        self._gone = True
        for run in self._runs.values():
            run.stop(grace)
        for run in list(self._runs.values()):
            await run.wait()
