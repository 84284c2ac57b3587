"""What this node does not do: a Pod that asks for it is refused with the reason before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.facts import all_containers, init_containers
from dask_gpu_k8s.local.node.volumes import holds_files

SHARED_MEMORY = "/dev/shm"


def unsupported(pod: Manifest, *, user: int) -> str | None:
    """Say why this node cannot run a Pod as it is written.

    Parameters
    ----------
    pod : Manifest
        The Pod.
    user : int
        Numeric id of the user that the node runs as.

    Returns
    -------
    str or None
        A sentence, or ``None`` if it can.
    """
    return next(_complaints(pod, user), None)


def _complaints(pod: Manifest, user: int) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
    for container in init_containers(pod):
        if container.get("restartPolicy"):
            yield f"init container {container['name']}: restartPolicy (a sidecar) is not supported here"
    for container in all_containers(pod):
        yield from _mounts(container, volumes)
        yield from _probes(container)
        yield from _ports(container)
        yield from _user(pod, container, user)


def _mounts(container: dict[str, Any], volumes: dict[str, Any]) -> Iterator[str]:
    for mount in container.get("volumeMounts") or []:
        volume = volumes.get(mount["name"], {})
        path = mount.get("mountPath", "").rstrip("/")
        if path == SHARED_MEMORY and "emptyDir" in volume:
            continue
        if holds_files(volume) and "subPathExpr" not in mount:
            continue
        if (volume.get("hostPath") or {}).get("path", "").rstrip("/") == path:
            continue
        yield (
            f"container {container['name']}: volume {mount['name']} cannot be mounted at {path}: Pods are "
            "processes of this machine and see its files; only Secrets, ConfigMaps, an emptyDir at /dev/shm "
            "and a hostPath mounted at its own path are possible"
        )
    if container.get("volumeDevices"):
        yield f"container {container['name']}: volumeDevices are not supported here"


def _probes(container: dict[str, Any]) -> Iterator[str]:
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        if "grpc" in (container.get(kind) or {}):
            yield (
                f"container {container['name']}: {kind}: grpc is not supported here, "
                "use httpGet, tcpSocket or exec"
            )


def _ports(container: dict[str, Any]) -> Iterator[str]:
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield (
                f"container {container['name']}: hostPort {port['hostPort']} is not supported here, "
                "use a Service of type NodePort or port-forward"
            )


def _user(pod: Manifest, container: dict[str, Any], user: int) -> Iterator[str]:
    context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    wanted = context.get("runAsUser")
    if wanted is not None and wanted != user:
        yield (
            f"container {container['name']}: runAsUser {wanted} is not possible: "
            f"everything runs as the user who started this Kubernetes (uid {user})"
        )
    if context.get("runAsNonRoot") and user == 0:
        yield f"container {container['name']}: has runAsNonRoot, and this Kubernetes was started by root"
