"""The worker groups of a cluster: find, scale, add and remove them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import custom
from dask_gpu_k8s.cluster.arguments import hint, parse_count, parse_env, parse_image, parse_resources, plain
from dask_gpu_k8s.cluster.facts import dask_container
from dask_gpu_k8s.cluster.roles import apply_options, parse_options
from dask_gpu_k8s.cluster.spec import Env, Options, make_worker_group, worker_args
from dask_gpu_k8s.cluster.translate import in_plain_words
from dask_gpu_k8s.errors import InvalidArgument, InvalidType, WorkerGroupExists, WorkerGroupNotFound
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import AlreadyExists, NotFound
from dask_gpu_k8s.kube.reflector import Reflector


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
        own = {key: container[key] for key in _OWN if key in container}
        worker = apply_options({"spec": {"containers": [own]}}, parse_options(options, "options"), "options")
    worker["replicas"] = parse_count(n_workers, "n_workers")
    manifest = make_worker_group(cluster_name, name, worker)
    if options is not None:
        custom.check(manifest, "options")
    return manifest


# What of a worker's container comes from arguments, and not from the options.
_OWN = ("name", "image", "imagePullPolicy", "command", "args", "env", "resources")


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
            cure="Use lower-case letters, digits and '-'; with the cluster's name before it "
            f"({full!r} has {len(full)} characters) {names.MAX_WORKER_GROUP_NAME} fit.",
        )


class Groups:
    """The worker groups of one cluster, as they are in Kubernetes.

    Parameters
    ----------
    kube : KubeClient
    namespace, cluster : str
        Where the DaskCluster is, and its name.
    """

    def __init__(self, kube: KubeClient, namespace: str, cluster: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._cluster = cluster

    def _where(self, group: str) -> str:
        return f"worker group {group!r} of {self._namespace}/{self._cluster}"

    async def names(self) -> list[str]:
        """List the groups' names within the cluster."""
        found = await self._kube.list(DASKWORKERGROUP, self._namespace)
        prefix = names.worker_group(self._cluster, "")
        full = [
            group["metadata"]["name"] for group in found["items"] if group["spec"]["cluster"] == self._cluster
        ]
        return sorted(name.removeprefix(prefix) for name in full)

    async def scale(self, group: str, n: int) -> None:
        """Ask for `n` workers in a group.

        Raises
        ------
        WorkerGroupNotFound
            With the names of the groups there are.
        """
        full = names.worker_group(self._cluster, group)
        with in_plain_words(self._where(group)):
            try:
                await self._kube.patch(
                    DASKWORKERGROUP, full, {"spec": {"worker": {"replicas": n}}}, self._namespace
                )
            except NotFound as error:
                raise await self._not_found(group) from error

    async def add(self, name: str, manifest: Manifest) -> None:
        """Create a group, which goes when the cluster goes.

        Raises
        ------
        WorkerGroupExists
        """
        with in_plain_words(self._where(name)):
            try:
                await self._kube.create(DASKWORKERGROUP, manifest, self._namespace)
            except AlreadyExists as error:
                raise WorkerGroupExists(
                    "it is there already", where=self._where(name), cure="Scale it, or choose another name."
                ) from error

    async def delete(self, name: str) -> None:
        """Delete a group and its workers.

        Raises
        ------
        WorkerGroupNotFound
            With the names of the groups there are.
        """
        full = names.worker_group(self._cluster, name)
        with in_plain_words(self._where(name)):
            try:
                await self._kube.delete(DASKWORKERGROUP, full, self._namespace, propagation="Background")
            except NotFound as error:
                raise await self._not_found(name) from error

    async def _not_found(self, group: str) -> WorkerGroupNotFound:
        there = await self.names()
        return WorkerGroupNotFound(
            f"there is no such worker group{hint(group, there)}",
            where=self._where(group),
            cure=f"Its groups are {', '.join(there) or 'not made yet'}.",
        )


class WantedWorkers:
    """How many workers a cluster is to have in all its groups, kept up to date; used with ``async with``."""

    def __init__(self, kube: KubeClient, namespace: str, cluster: str) -> None:
        self._groups = Reflector(
            kube, DASKWORKERGROUP, namespace=namespace, labels=labels.of_cluster(cluster)
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> WantedWorkers:
        self._task = asyncio.create_task(self._groups.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def count(self) -> int | None:
        """The number, ``None`` as long as it is not known."""
        if not self._groups.synced.is_set():
            return None
        return sum(int(group["spec"]["worker"].get("replicas", 1)) for group in self._groups.store)
