"""The user of a script, who is hit by no fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, DASKWORKERGROUP, POD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.errors import StatusError
from tests.faults import clock
from tests.faults.state import is_orphan

PATIENCE = 600.0
"""Seconds that anything may take: no fault lasts longer than three minutes."""

NAMESPACE = "default"


class NotInTime(Exception):
    """What a script waits for did not come."""


class User:
    """Acts on resources and waits."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.api = run.api
        self._changed = asyncio.Event()
        self.api.store.listen(lambda *_: self._changed.set())

    def create(self, resource: Resource, manifest: Manifest) -> None:
        """Create an object."""
        self.api.create(resource, NAMESPACE, manifest)

    def patch(self, resource: Resource, name: str, patch: Manifest) -> None:
        """Change an object."""
        self.api.patch(resource, NAMESPACE, name, patch)

    def delete(self, resource: Resource, name: str, **options: Any) -> None:
        """Delete an object."""
        self.api.delete(resource, NAMESPACE, name, **options)

    def get(self, resource: Resource, name: str) -> Manifest | None:
        """Return an object, or None."""
        try:
            found: Manifest = self.api.get(resource, NAMESPACE, name)
        except StatusError:
            return None
        return found

    def scale(self, name: str, replicas: int) -> None:
        """Scale a cluster."""
        self.api.update(
            DASKCLUSTER,
            NAMESPACE,
            name,
            {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"replicas": replicas},
            },
            sub="scale",
        )

    def status(self, resource: Resource, name: str) -> Manifest:
        """Return the status of an object; empty if there is none."""
        obj = self.get(resource, name)
        return (obj or {}).get("status") or {}

    def pods(self, **selected: str) -> list[Manifest]:
        """Return the Pods with these labels."""
        return list(self.api.list(POD, NAMESPACE, labels=labels.selector(selected)))

    async def until(self, what: str, check: Callable[[], object]) -> None:
        """Wait for something."""
        end = clock.now() + PATIENCE
        while not check():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), end - clock.now())
            except asyncio.TimeoutError:
                raise NotInTime(f"not within {PATIENCE:g} s: {what}") from None

    async def pause(self, seconds: float) -> None:
        """Do nothing for a while."""
        await asyncio.sleep(seconds)

    async def has_workers(self, name: str, count: int) -> None:
        """Wait until a cluster has so many workers, all ready, and nobody on the way out."""

        def check() -> bool:
            status = self.status(DASKCLUSTER, name)
            group = self.status(DASKWORKERGROUP, f"{name}-default")
            ready = group.get("readyReplicas") == group.get("desiredReplicas") == count
            return ready and status.get("readyWorkers") == count and group.get("phase") == "Running"

        await self.until(f"{count} workers of {name}", check)

    async def has_no_pods(self) -> None:
        """Wait until there is no Pod but those that a user may have wanted to stay."""
        await self.until("no Pods", lambda: all(is_orphan(self.api, pod) for pod in self.pods()))

    async def has_workers_of(self, name: str, count: int, image: str) -> None:
        """Wait until a cluster has so many workers, all of an image."""

        def check() -> bool:
            pods = self.pods(**{labels.CLUSTER_NAME: name, labels.COMPONENT: labels.WORKER})
            return [pod["spec"]["containers"][0]["image"] for pod in pods] == [image] * count

        await self.until(f"{count} workers of image {image}", check)
        await self.has_workers(name, count)

    async def job_is(self, name: str, state: str) -> None:
        """Wait until a job is in a state."""
        await self.until(
            f"job {name} is {state}", lambda: self.status(DASKJOB, name).get("jobStatus") == state
        )
