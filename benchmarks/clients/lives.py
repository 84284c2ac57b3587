"""Lives of clusters that are lived and watched: by ours or upstream's client, on this machine or in a Pod."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients import by_hand as hand
from benchmarks.clients import life
from benchmarks.clients.sightings import Sightings, watching
from benchmarks.stage import emptied, until
from benchmarks.systems import upstream_environment
from dask_gpu_k8s.api.manifests import OPERATOR_IMAGE
from dask_gpu_k8s.api.resources import POD, Resource
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.transport import version
from tests.e2e.node import versions

SCRIPT = Path(life.__file__)
SOURCE = SCRIPT.read_text()
ROLE_BINDING = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", "rolebinding")
NAME = "bench"
ARGUMENTS = {
    "name": NAME,
    "image": f"{versions.DASK_IMAGE}:{versions.NEWEST_DASK}",
    "n_workers": 1,
    "quiet": True,
}


class Failed(Exception):
    """A cluster did not come to life, or not to its end."""


@dataclass(frozen=True)
class Life:
    """When what happened in a cluster's life."""

    steps: Mapping[str, float]
    seen: Sightings

    @property
    def returned_after_ready(self) -> float:
        """Seconds by which the call returned after the scheduler was Ready."""
        return self.steps["returned"] - self.seen.ready

    @property
    def returned_after_open(self) -> float:
        """Seconds by which the call returned after the scheduler was Ready and its Service accepted."""
        return self.steps["returned"] - max(self.seen.ready, self.seen.accepts)

    @property
    def first_result(self) -> float:
        """Seconds from the call to the first result of a task."""
        return self.steps["computed"] - self.steps["called"]

    @property
    def scale(self) -> float:
        """Seconds that the call of `scale` took."""
        return self.steps["scaled"] - self.steps["scaling"]

    @property
    def close(self) -> float:
        """Seconds until `close` had returned and the DaskCluster was gone."""
        return max(self.steps["closed"], self.seen.gone) - self.steps["closing"]


async def ours(kube: KubeClient, kubeconfig: Path, **arguments: Any) -> Life:
    """Live with ours on this machine."""
    return await _watched(kube, arguments, _Process(sys.executable, "dask_gpu_k8s", kubeconfig))


async def ours_in_pod(kube: KubeClient, **arguments: Any) -> Life:
    """Live with ours in a Pod."""
    return await _watched(kube, arguments, _Pod(kube))


async def theirs(kube: KubeClient, kubeconfig: Path, **arguments: Any) -> Life:
    """Live with upstream's on this machine."""
    python = str(upstream_environment() / "bin" / "python")
    return await _watched(kube, arguments, _Process(python, "dask_kubernetes.operator", kubeconfig))


async def by_hand(kube: KubeClient, kubeconfig: Path) -> float:
    """Live with Pods that are written by hand; return the seconds to the first result."""
    async with emptied(kube) as place:
        return float(await _run([sys.executable, "-m", hand.__name__, place], kubeconfig))


async def _watched(kube: KubeClient, arguments: Mapping[str, Any], home: _Process | _Pod) -> Life:
    async with emptied(kube) as place:
        given = {**ARGUMENTS, "namespace": place, **arguments}
        node_port = given.get("scheduler_service_type") == "NodePort"
        async with watching(kube, place, NAME, node_port=node_port) as seen:
            answer = await home.live(place, json.dumps(given))

            async def is_gone() -> bool:
                return bool(seen.gone)

            await until(is_gone, 60)
    return Life(json.loads(answer.splitlines()[-1]), seen)


@dataclass(frozen=True)
class _Process:
    """A process of its own, as a first cell of a notebook is one."""

    python: str
    module: str
    kubeconfig: Path

    async def live(self, place: str, arguments: str) -> str:
        return await _run([self.python, str(SCRIPT), self.module, arguments], self.kubeconfig)


async def _run(command: list[str], kubeconfig: Path) -> str:
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise Failed(f"{command[:3]} failed; see above")
    return output.decode()


@dataclass(frozen=True)
class _Pod:
    """A Pod, in the namespace of the cluster, that may do everything there."""

    kube: KubeClient

    async def live(self, place: str, arguments: str) -> str:
        await self.kube.create(
            ROLE_BINDING,
            {
                "metadata": {"name": NAME},
                "roleRef": {
                    "apiGroup": ROLE_BINDING.group,
                    "kind": "ClusterRole",
                    "name": "cluster-admin",
                },
                "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": place}],
            },
            place,
        )
        image = f"{OPERATOR_IMAGE}:{version()}-dask{versions.NEWEST_DASK}"
        command = ["python", "-c", SOURCE, "dask_gpu_k8s", arguments]
        container = {"name": "main", "image": image, "command": command}
        spec = {"restartPolicy": "Never", "containers": [container]}
        await self.kube.create(POD, {"metadata": {"name": NAME}, "spec": spec}, place)
        phase = ""

        async def has_ended() -> bool:
            nonlocal phase
            phase = (await self.kube.get(POD, NAME, place))["status"].get("phase", "")
            return phase in ("Succeeded", "Failed")

        await until(has_ended, 300)
        output = await self.kube.logs(NAME, place)
        if phase == "Failed":
            raise Failed(f"ours failed in a Pod:\n{output}")
        return output
