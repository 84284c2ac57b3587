"""What the parts of a node share: where Pods run, and with what."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.kubeconfig import Access
from dask_gpu_k8s.local.node.devices import Gpus
from dask_gpu_k8s.local.node.events import Events
from dask_gpu_k8s.local.node.mirror import Mirror
from dask_gpu_k8s.local.node.processes import Processes

POD_SITE = Path(__file__).parent.parent / "pod_site"

_KEPT = ("CONDA_PREFIX", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ")
"""What Pods get of the environment of the node. The rest is the user's own business."""
_KEPT_PREFIXES = ("LC_", "LOCAL_KUBERNETES_")


@dataclass(frozen=True)
class Host:
    """The machine as Pods see it.

    Attributes
    ----------
    api : Api
    events : Events
    processes : Processes
    gpus : Gpus
    directory : pathlib.Path
        Where Pods have their files.
    name, address : str
        Of the node.
    allocatable : mapping of str to Decimal
    access : Access
        How Pods reach the API server.
    path : sequence of str
        Folders that come first on their PATH.
    marker : str
        ``NAME=value`` in the environment of every process of every Pod.
    services, configmaps, secrets : Mirror
    """

    api: Api
    events: Events
    processes: Processes
    gpus: Gpus
    directory: Path
    name: str
    address: str
    allocatable: Mapping[str, Decimal]
    access: Access
    path: Sequence[str]
    marker: str
    services: Mirror
    configmaps: Mirror
    secrets: Mirror

    @property
    def hosts_file(self) -> Path:
        """Names of the cluster."""
        return self.directory / "hosts"

    @property
    def routes_file(self) -> Path:
        """Where connections to Services go."""
        return self.directory / "routes"

    def lookup(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return a ConfigMap or Secret."""
        return (self.configmaps if kind == "ConfigMap" else self.secrets).get(namespace, name)

    def base_variables(self) -> dict[str, str]:
        """Return the variables that an image would bring: this Python environment first on the PATH."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _KEPT or name.startswith(_KEPT_PREFIXES)
        }
        folders = [*self.path, os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
        marker, _, value = self.marker.partition("=")
        return {**kept, "PATH": os.pathsep.join(folders), marker: value}

    def api_variables(self) -> dict[str, str]:
        """Return the variables that say where the API server is."""
        host, _, port = self.access.server.removeprefix("https://").rpartition(":")
        return {
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "KUBERNETES_SERVICE_PORT_HTTPS": port,
            "KUBERNETES_PORT": f"tcp://{host}:{port}",
        }
