"""The operators that are measured, each as a process beside the cluster, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from benchmarks.stage import until
from dask_gpu_k8s.api.manifests import crds
from dask_gpu_k8s.api.resources import CRD, Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import ALL_NAMESPACES, KubeClient
from dask_gpu_k8s.kube.errors import NotFound

UPSTREAM = "dask-kubernetes==2026.3.0"
OURS, THEIRS = "ours", "upstream"


@dataclass
class Running:
    """An operator's process."""

    process: psutil.Process

    def cpu(self) -> float:
        """Return the seconds of CPU it has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """Return the most memory it ever had, in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) / 1000


@contextlib.asynccontextmanager
async def running(system: str, kube: KubeClient, kubeconfig: Path, log: Path) -> AsyncIterator[Running]:
    """Install a system's resources in the cluster and run its operator beside it."""
    manifests = crds() if system == OURS else upstream_crds()
    await install(kube, manifests)
    command = our_command() if system == OURS else upstream_command()
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with log.open("w") as output:
        process = psutil.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd="/")
        try:
            yield Running(process)
        finally:
            process.terminate()
            process.wait(30)


def our_command() -> list[str]:
    """Run ours."""
    return [sys.executable, "-m", "dask_gpu_k8s.operator", "--log-level=WARNING"]


def upstream_command() -> list[str]:
    """Run theirs, as their image does."""
    kopf = upstream_environment() / "bin" / "kopf"
    return [str(kopf), *"run -m dask_kubernetes.operator.controller --all-namespaces --quiet".split()]


def upstream_environment() -> Path:
    """Make an environment with upstream's release, once."""
    cache = Path(os.environ.get("DASK_GPU_K8S_CACHE", "~/.cache/dask-gpu-k8s")).expanduser()
    folder = cache / f"bench-{UPSTREAM.replace('==', '-')}"
    if not (folder / "bin" / "kopf").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", UPSTREAM], check=True)
    return folder


def upstream_crds() -> list[Manifest]:
    """Read their CRDs out of their package: those of the chart, since the others are only parts."""
    (chart,) = upstream_environment().glob(
        "lib/python*/site-packages/dask_kubernetes/operator/deployment/helm/*/"
    )
    return [yaml.safe_load(file.read_text()) for file in sorted((chart / "crds").glob("*.yaml"))]


async def _let_go(kube: KubeClient, manifest: Manifest) -> None:
    """Take finalizers off what an operator has left that runs no more: nobody else would."""
    spec = manifest["spec"]
    names = spec["names"]
    kind = Resource(
        spec["group"], spec["versions"][0]["name"], names["plural"], names["kind"], names["singular"]
    )
    for left in (await kube.list(kind, ALL_NAMESPACES))["items"]:
        meta = left["metadata"]
        with contextlib.suppress(NotFound):
            await kube.patch(kind, meta["name"], {"metadata": {"finalizers": None}}, meta["namespace"])


async def install(kube: KubeClient, manifests: list[Manifest]) -> None:
    """Put these CRDs in place of any others."""
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        with contextlib.suppress(NotFound):
            await kube.delete(CRD, name)
            await _let_go(kube, manifest)

        async def is_gone(name: str = name) -> bool:
            try:
                await kube.get(CRD, name)
            except NotFound:
                return True
            return False

        await until(is_gone, 60)
        await kube.create(CRD, manifest, strict=False)
    for manifest in manifests:

        async def is_established(name: str = manifest["metadata"]["name"]) -> bool:
            conditions = (await kube.get(CRD, name)).get("status", {}).get("conditions") or []
            return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

        await until(is_established, 60)
    await asyncio.sleep(1)  # The API server serves a new kind a moment after it says so.
