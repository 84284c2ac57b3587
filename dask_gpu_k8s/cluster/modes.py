"""When KubeCluster creates a cluster and when it connects to one that is there."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from dask_gpu_k8s.errors import ClusterExists, ClusterNotFound, InvalidArgument


class CreateMode(str, Enum):
    """What to do about an existing, or a missing, DaskCluster of the given name.

    Members compare equal to their names, so that a configuration file may hold them as text.
    """

    CREATE_ONLY = "CREATE_ONLY"
    """Create; an existing name is an error."""
    CREATE_OR_CONNECT = "CREATE_OR_CONNECT"
    """Create, or connect to what is there."""
    CONNECT_ONLY = "CONNECT_ONLY"
    """Connect; a missing name is an error."""

    __module__ = "dask_gpu_k8s"

    def __str__(self) -> str:
        return str(self.value)


def parse_create_mode(value: Any) -> CreateMode:
    """Read a create mode that may come as text.

    Raises
    ------
    InvalidArgument
        If it is none of the three.
    """
    try:
        return CreateMode(value.upper() if isinstance(value, str) else value)
    except ValueError:
        names = ", ".join(mode.value for mode in CreateMode)
        raise InvalidArgument(
            f"{value!r} is no create mode", where="create_mode", cure=f"Use one of {names}."
        ) from None


def is_ours(argument: bool | None, *, created: bool, keeps_created: bool) -> bool:
    """Decide whether a cluster object deletes its DaskCluster when it is closed.

    Parameters
    ----------
    argument : bool or None
        ``shutdown_on_close``, as far as it was said: that decides.
    created : bool
        Whether this object has created it. What it only found is somebody else's.
    keeps_created : bool
        Whether the configuration says that not even that is deleted.
    """
    return argument if argument is not None else created and not keeps_created


def choose(mode: CreateMode, exists: bool, name: str, namespace: str) -> Literal["create", "connect"]:
    """Decide whether to create or to connect.

    Raises
    ------
    ClusterExists, ClusterNotFound
        If the mode forbids what would have to be done.
    """
    where = f"DaskCluster {namespace}/{name}"
    if exists and mode is CreateMode.CREATE_ONLY:
        raise ClusterExists(
            "there is a cluster of that name already, and create_mode is CREATE_ONLY",
            where=where,
            cure="Choose another name, or connect with KubeCluster.from_name(name).",
        )
    if not exists and mode is CreateMode.CONNECT_ONLY:
        raise ClusterNotFound(
            "there is no cluster of that name",
            where=where,
            cure="See which there are with `kubectl get daskclusters.kubernetes.dask.org --all-namespaces`; "
            "say namespace= if it lives in another one.",
        )
    return "connect" if exists else "create"
