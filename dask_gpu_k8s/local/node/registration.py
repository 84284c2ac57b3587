"""The Node object: what this machine offers."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from dask_gpu_k8s.api.quantity import format_quantity, parse_quantity
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.devices import available_cpus, available_memory
from dask_gpu_k8s.local.node.resources import GPU
from dask_gpu_k8s.local.node.status import timestamp

NODE_NAME = "local"
NODE_ADDRESS = "127.0.0.1"
MAX_PODS = 110
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def capacity(*, cpus: str | None, memory: str | None, gpus: int) -> dict[str, Decimal]:
    """Return what the node has to give; what is not said is what the machine has."""
    amounts = {
        "cpu": parse_quantity(cpus) if cpus else Decimal(available_cpus()),
        "memory": parse_quantity(memory) if memory else Decimal(available_memory()),
        "pods": Decimal(MAX_PODS),
    }
    if gpus:
        amounts[GPU] = Decimal(gpus)
    return amounts


_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "the node runs Pods as processes of this machine"),
)


def node_object(amounts: Mapping[str, Decimal], version: str, now: datetime) -> Manifest:
    """Make the Node object.

    Parameters
    ----------
    amounts : mapping of str to Decimal
        Capacity, all of it allocatable.
    version : str
        Kubernetes version that the node speaks like.
    now : datetime
    """
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine, machine)
    written = {name: format_quantity(amount) for name, amount in amounts.items()}
    system = os.uname()
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE_NAME,
            "labels": {
                "kubernetes.io/hostname": NODE_NAME,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture,
            },
        },
        "spec": {},
        "status": {
            "capacity": written,
            "allocatable": written,
            "addresses": [
                {"type": "InternalIP", "address": NODE_ADDRESS},
                {"type": "Hostname", "address": NODE_NAME},
            ],
            "conditions": _conditions(now),
            "nodeInfo": {
                "architecture": architecture,
                "bootID": "",
                "containerRuntimeVersion": "process://1",
                "kernelVersion": system.release,
                "kubeProxyVersion": "",
                "kubeletVersion": version,
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "the machine that runs this Kubernetes",
                "systemUUID": "",
            },
        },
    }


def _conditions(now: datetime) -> list[Manifest]:
    return [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": timestamp(now),
            "lastTransitionTime": timestamp(now),
        }
        for kind, status, reason, message in _CONDITIONS
    ]
