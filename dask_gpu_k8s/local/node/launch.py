"""How a container of a Pod becomes a command with an environment and a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.devices import gpu_variables
from dask_gpu_k8s.local.node.environment import (
    NotConfigured,
    Surroundings,
    command_line,
    container_variables,
)
from dask_gpu_k8s.local.node.host import POD_SITE, Host
from dask_gpu_k8s.local.node.names import hostname, pod_lines, search_domains
from dask_gpu_k8s.local.node.volumes import mounts, translate, write_volumes

RUN = "LOCAL_KUBERNETES_RUN"
"""Variable that tells the processes of one run of a container from all others."""


@dataclass(frozen=True)
class Launch:
    """What is started for a container, and what of it commands run beside it share.

    Attributes
    ----------
    command : sequence of str
    env : mapping of str to str
    cwd : str
    marker : str
        ``NAME=value`` of this run alone.
    mounts : mapping of str to str
        Mount paths and where they really are.
    """

    command: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    marker: str
    mounts: Mapping[str, str] = field(default_factory=dict)

    def beside(self, command: Sequence[str]) -> list[str]:
        """Write a command that is run beside the container as it is run here."""
        return [translate(word, self.mounts) for word in command]


class PodFiles:
    """The folder of a Pod: its hosts file, its kubeconfig, its volumes, and a home for each container.

    Parameters
    ----------
    host : Host
    pod : Manifest
    address : str
        The Pod's.
    """

    def __init__(self, host: Host, pod: Manifest, address: str) -> None:
        # Short, because sockets in a folder for temporary files may not have a path longer than 107 bytes.
        self.folder: Path = host.directory / "pods" / pod["metadata"]["uid"][:8]
        self.folder.mkdir(parents=True)
        self.hosts = self.folder / "hosts"
        self.hosts.write_text("\n".join(pod_lines(pod, address)) + "\n")
        self.kubeconfig = self.folder / "kubeconfig"
        self.volumes = self.folder / ".volumes"
        if pod["spec"].get("automountServiceAccountToken") is not False:
            host.access.write(self.kubeconfig, pod["metadata"]["namespace"])

    def fresh_home(self, container: str) -> Path:
        """Make an empty home for a run of a container, with a folder for temporary files in it."""
        home = self.folder / container
        shutil.rmtree(home, ignore_errors=True)
        (home / "tmp").mkdir(parents=True)
        return home

    def log(self, run: str) -> Path:
        """Path of the log of one run."""
        return self.folder / f"{run}.log"

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def prepare(
    host: Host,
    files: PodFiles,
    around: Surroundings,
    container: Mapping[str, Any],
    gpus: Sequence[str],
    run: str,
) -> Launch:
    """Prepare a run of a container.

    Raises
    ------
    NotConfigured
        If something that its specification names is missing.
    """
    write_volumes(around.pod, files.volumes, around.lookup)
    places = mounts(around.pod, container, files.volumes)
    own = {name: translate(value, places) for name, value in container_variables(container, around).items()}
    command = [translate(word, places) for word in command_line(container, own)]
    workdir = container.get("workingDir")
    if workdir and not os.path.isdir(workdir):
        message = f"workingDir {workdir} is not a folder of this machine, whose files Pods see"
        raise NotConfigured(message, "CreateContainerError")
    home = files.fresh_home(container["name"])
    forced = {**gpu_variables(gpus), **_network(host, files, around), RUN: run}
    env = {
        **host.base_variables(),
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        **({"KUBECONFIG": str(files.kubeconfig)} if files.kubeconfig.exists() else {}),
        **own,
        **forced,
    }
    inherited = own.get("PYTHONPATH") or os.environ.get("PYTHONPATH", "")
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(POD_SITE), inherited]))
    return Launch(command, env, workdir or str(home), f"{RUN}={run}", places)


def _network(host: Host, files: PodFiles, around: Surroundings) -> dict[str, str]:
    """Return the variables by which Python processes get the Pod's network."""
    if around.address == host.address:
        return {"HOSTNAME": host.name}  # hostNetwork: the machine's own
    return {
        "HOSTNAME": hostname(around.pod),
        "LOCAL_KUBERNETES_ADDRESS": around.address,
        "LOCAL_KUBERNETES_HOSTS": f"{files.hosts}{os.pathsep}{host.hosts_file}",
        "LOCAL_KUBERNETES_ROUTES": str(host.routes_file),
        "LOCAL_KUBERNETES_SEARCH": " ".join(search_domains(around.pod["metadata"]["namespace"])),
    }
