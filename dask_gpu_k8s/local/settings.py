"""What a local Kubernetes can be told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dask_gpu_k8s.api.types import Manifest


@dataclass(frozen=True)
class Settings:
    """What the server and its node are started with.

    Attributes
    ----------
    gpus : int or None
        How many ``nvidia.com/gpu`` the node has; by default those that NVML finds and
        ``CUDA_VISIBLE_DEVICES`` does not hide.
    cpus : str or None
        Allocatable ``cpu`` as a quantity; by default what this process may use.
    memory : str or None
        Allocatable ``memory`` as a quantity; by default that of the machine.
    port : int
        Port of the API server on 127.0.0.1; 0 takes a free one.
    path : sequence of str
        Folders that come first on the ``PATH`` of Pods.
    kubeconfig : str or None
        Where to write the kubeconfig, beside the one in the server's own directory.
    manifests : sequence of Manifest
        What to create at the start.
    owner : int or None
        The process whose end is the server's end.
    """

    gpus: int | None = None
    cpus: str | None = None
    memory: str | None = None
    port: int = 0
    path: Sequence[str] = ()
    kubeconfig: str | None = None
    manifests: Sequence[Manifest] = ()
    owner: int | None = None

    def to_json(self) -> str:
        """Write the settings on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))
