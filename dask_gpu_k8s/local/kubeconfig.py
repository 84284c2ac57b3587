"""Kubeconfig files: who may speak to this API server, and in which namespace by default."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

from dask_gpu_k8s.api.types import Manifest

_NAME = "local"


@dataclass(frozen=True)
class Access:
    """How to reach an API server.

    Attributes
    ----------
    server : str
        Its URL.
    authority : bytes
        PEM certificate that its own is signed by.
    token : str
        Bearer token.
    """

    server: str
    authority: bytes
    token: str

    def kubeconfig(self, namespace: str = "default") -> Manifest:
        """Return the kubeconfig for a namespace."""
        cluster = {
            "server": self.server,
            "certificate-authority-data": base64.b64encode(self.authority).decode(),
        }
        context = {"cluster": _NAME, "user": _NAME, "namespace": namespace}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": _NAME, "cluster": cluster}],
            "users": [{"name": _NAME, "user": {"token": self.token}}],
            "contexts": [{"name": _NAME, "context": context}],
            "current-context": _NAME,
        }

    def write(self, path: Path, namespace: str = "default") -> None:
        """Write the kubeconfig, readable by its owner alone, in place of what was there. JSON is YAML."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "w", encoding="utf-8") as text:
            json.dump(self.kubeconfig(namespace), text, indent=2)
        os.replace(beside, path)
