"""From arguments to the resource of one more worker group. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import custom
from dask_gpu_k8s.cluster.arguments import parse_count, parse_env, parse_image, parse_resources, plain
from dask_gpu_k8s.cluster.facts import OWN, dask_container
from dask_gpu_k8s.cluster.roles import apply_options, parse_options
from dask_gpu_k8s.cluster.spec import Env, Options, make_worker_group, worker_args
from dask_gpu_k8s.errors import InvalidArgument, InvalidType


def make_group(  # noqa: PLR0913 - upstream's parameters
    cluster: Manifest,
    name: str,
    n_workers: int = 3,
    *,
    image: str | None = None,
    resources: Mapping[str, Any] | None = None,
    worker_command: str | Sequence[str] | None = None,
    env: Env | None = None,
    custom_spec: Mapping[str, Any] | None = None,
    options: Options | None = None,
) -> Manifest:
    """Make a DaskWorkerGroup for a cluster; what is not said is as in the cluster's default group.

    Parameters
    ----------
    cluster : Manifest
        The DaskCluster.
    name : str
        Name of the group within the cluster.
    n_workers, image, resources, worker_command, env
        As for `make_cluster_spec`.
    custom_spec : mapping, optional
        The worker part as a whole, as from `make_worker_spec`; everything else but the name is ignored.
    options : PodOptions or mapping, optional
        In place of those of the cluster's workers.

    Raises
    ------
    InvalidArgument, InvalidType
        Naming the argument.
    """
    cluster_name = cluster["metadata"]["name"]
    _check_group_name(cluster_name, name)
    if custom_spec is not None:
        return _custom_group(cluster_name, name, custom_spec)
    worker = plain(cluster["spec"]["worker"])
    container = dask_container(worker)
    if image is not None:
        container["image"] = parse_image(image)
    if resources is not None:
        container["resources"] = parse_resources(resources)
    if env is not None:
        container["env"] = parse_env(env)
    if worker_command is not None:
        container["args"] = worker_args(worker_command)
        container.pop("command", None)
    if options is not None:
        own = {key: container[key] for key in OWN if key in container}
        worker = apply_options({"spec": {"containers": [own]}}, parse_options(options, "options"), "options")
    worker["replicas"] = parse_count(n_workers, "n_workers")
    manifest = make_worker_group(cluster_name, name, worker)
    if options is not None:
        custom.check(manifest, "options")
    return manifest


def _custom_group(cluster_name: str, name: str, custom_spec: Any) -> Manifest:
    if not isinstance(custom_spec, Mapping):
        raise InvalidType(
            f"must be a mapping as from make_worker_spec(), not {custom_spec!r}", where="custom_spec"
        )
    manifest = make_worker_group(cluster_name, name, dict(custom_spec))
    custom.check(manifest, "custom_spec")
    return manifest


def _check_group_name(cluster_name: str, name: Any) -> None:
    if not isinstance(name, str):
        raise InvalidType(f"must be a string, not {name!r}", where="name")
    full = names.worker_group(cluster_name, name)
    if len(full) > names.MAX_WORKER_GROUP_NAME or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
        raise InvalidArgument(
            f"{name!r} is no name for a worker group",
            where="name",
            cure="Use lower-case letters, digits and '-', a letter or digit at both ends. After a cluster's "
            f"name, it may have {names.MAX_WORKER_GROUP_NAME} characters; {full!r} has {len(full)}.",
        )
