"""KubeCluster: a Dask cluster on Kubernetes, held in the hand."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from distributed.core import Status
from distributed.utils import format_dashboard_link

from dask_gpu_k8s.api.names import DEFAULT_GROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.adaptivity import Adaptivity, PendingAdaptivity, WorkerGroup, parse_bounds
from dask_gpu_k8s.cluster.arguments import hint, parse_count
from dask_gpu_k8s.cluster.display import worker_count
from dask_gpu_k8s.cluster.freezing import Frozen
from dask_gpu_k8s.cluster.group_spec import make_group
from dask_gpu_k8s.cluster.killed import add_note, killed_workers
from dask_gpu_k8s.cluster.lifecycle import LifeCycle
from dask_gpu_k8s.cluster.modes import CreateMode
from dask_gpu_k8s.cluster.settings import ARGUMENTS, resolve
from dask_gpu_k8s.cluster.spec import Env, Options
from dask_gpu_k8s.cluster.standing import sentence, to_html
from dask_gpu_k8s.errors import DaskClusterError

_SHAPING = (
    "name", "image", "n_workers", "resources", "env", "worker_command", "idle_timeout", "ttl", "jupyter",
    "scheduler_service_type", "scheduler_resources", "scheduler_options", "worker_options",
)  # fmt: skip


class KubeCluster(LifeCycle):
    """A Dask cluster on Kubernetes: a DaskCluster resource, and a connection to its scheduler.

    Where an argument is ``None``, Dask's configuration decides (keys under ``kubernetes.``), and where
    that says nothing, the default below. Who created the cluster deletes it at `close` and when the
    process leaves; who only connected leaves it.

    Parameters
    ----------
    name : str, optional
        Name of the cluster, at most 53 lower-case letters, digits and ``-``, a letter first; ``{user}``,
        ``{uuid}`` and environment variables in braces are filled in. Default ``dask-{user}-{uuid}``.
    namespace : str, optional
        Default: that of the kubeconfig context, or of the Pod this runs in.
    image : str, optional
        Image of scheduler and workers. Default: the published Dask image of this process' versions.
    n_workers : int, optional
        Workers in the default group. Default 0.
    resources : mapping, optional
        ``{"limits": …, "requests": …}`` of each worker.
    env : mapping or list, optional
        Environment of scheduler and workers.
    worker_command : str or list of str, optional
        What a worker runs. Default ``dask worker``.
    port_forward_cluster_ip : bool, optional
        Upstream's spelling: ``True`` is ``connect="port-forward"``, ``False`` is ``"auto"`` that never
        forwards. `connect` wins.
    create_mode : CreateMode or str, optional
        Default ``CREATE_OR_CONNECT``.
    shutdown_on_close : bool, optional
        Delete the DaskCluster at `close` and at exit. Default: if it was created here. In the
        configuration, ``false`` keeps what is created; only the argument deletes what was connected to.
    idle_timeout : int, optional
        Seconds without work after which the operator deletes the cluster. Default never. Neither this
        client's connection nor results that it holds are work.
    ttl : int, optional
        Seconds after the last sign of life of all clients after which the operator deletes the cluster,
        e.g. 300: for a notebook that is killed or a laptop that is lost. Default never. A client that is
        connected renews a Lease, which takes the rights to create and to patch leases.
    resource_timeout : float, optional
        Seconds without any progress after which a start has failed. Default 60.
    scheduler_service_type : str, optional
        ``ClusterIP`` (default), ``NodePort`` or ``LoadBalancer``.
    custom_cluster_spec : path or mapping, optional
        A DaskCluster, in place of all arguments that would shape one.
    connect : str, optional
        The way to the scheduler: ``auto`` (default), ``direct``, ``port-forward``, ``node-port`` or
        ``load-balancer``. ``auto`` goes by where this process runs and what the scheduler's Service is.
    node_port_host : str, optional
        Host name or address of a node, for ``node-port``. Default: asked of Kubernetes, which needs the
        right to get nodes.
    scheduler_forward_port : int, optional
        Local port of the dashboard, where it is forwarded. Default any.
    jupyter : bool, optional
        Run a Jupyter server on the scheduler. Default no.
    security : bool or distributed.Security, optional
        ``True``: scheduler, workers and clients speak TLS, with certificates that the operator makes and
        renews; ``Client(cluster)`` knows them. Default no. What already exists says itself whether it
        speaks TLS; an object is used to connect to it in place of the certificates in its Secret.
    scheduler_resources : mapping, optional
        ``{"limits": …, "requests": …}`` of the scheduler, which gets none of `resources`.
    scheduler_options, worker_options : PodOptions or mapping, optional
        Everything else about the Pods of a role.
    kubeconfig : path or mapping, optional
        Default: ``$KUBECONFIG``, ``~/.kube/config``, the service account of the Pod this runs in.
    context : str, optional
        Context within the kubeconfig. Default its current one.
    loop : tornado.ioloop.IOLoop, optional
        A running loop to use.
    asynchronous : bool, optional
        Be used with ``await`` within a running loop.
    quiet : bool, optional
        Show no progress.
    scheduler_sync_interval : float, optional
        Seconds between two notes of this cluster's facts to the scheduler. Default 1.

    Raises
    ------
    DaskClusterError
        Of `dask_gpu_k8s.errors`: what is wrong, where, and what to do.

    Examples
    --------
    >>> from dask_gpu_k8s import KubeCluster
    >>> cluster = KubeCluster(
    ...     name="rapids-dask",
    ...     image="nvcr.io/nvidia/rapidsai/base:25.04-cuda12.8-py3.12",
    ...     n_workers=3,
    ...     resources={"limits": {"nvidia.com/gpu": "1"}},
    ...     worker_command="dask-cuda-worker",
    ... )  # doctest: +SKIP
    """

    __module__ = "dask_gpu_k8s"

    def __init__(  # noqa: PLR0913 - upstream's arguments; everything about Pods is grouped
        self,
        *,
        name: str | None = None,
        namespace: str | None = None,
        image: str | None = None,
        n_workers: int | None = None,
        resources: Mapping[str, Any] | None = None,
        env: Env | None = None,
        worker_command: str | Sequence[str] | None = None,
        port_forward_cluster_ip: bool | None = None,
        connect: str | None = None,
        node_port_host: str | None = None,
        create_mode: CreateMode | str | None = None,
        shutdown_on_close: bool | None = None,
        idle_timeout: int | None = None,
        ttl: int | None = None,
        resource_timeout: float | None = None,
        scheduler_service_type: str | None = None,
        custom_cluster_spec: Any = None,
        scheduler_forward_port: int | None = None,
        jupyter: bool | None = None,
        security: Any = None,
        scheduler_resources: Mapping[str, Any] | None = None,
        scheduler_options: Options | None = None,
        worker_options: Options | None = None,
        kubeconfig: Any = None,
        context: str | None = None,
        loop: Any = None,
        asynchronous: bool = False,
        quiet: bool = False,
        scheduler_sync_interval: float = 1,
        **unknown: Any,
    ) -> None:
        given = dict(locals())
        _refuse_unknown(unknown)
        settings = resolve({argument: given[argument] for argument in ARGUMENTS})
        _warn_of_ignored(given)
        for argument in ARGUMENTS:
            if argument not in ("name", "security"):  # properties
                setattr(self, argument, getattr(settings, argument))
        super().__init__(
            settings,
            loop=loop,
            asynchronous=asynchronous,
            quiet=quiet,
            scheduler_sync_interval=scheduler_sync_interval,
        )

    @classmethod
    def from_name(cls, name: str, **kwargs: Any) -> KubeCluster:
        """Connect to an existing cluster.

        Parameters
        ----------
        name : str
            Name of the DaskCluster.
        **kwargs
            As for the class. Unless ``shutdown_on_close=True`` is said, the cluster stays at `close`.

        Raises
        ------
        ClusterNotFound
            If there is none of that name in the namespace.

        Examples
        --------
        >>> cluster = KubeCluster.from_name("rapids-dask")  # doctest: +SKIP
        """
        return cls(**{"create_mode": CreateMode.CONNECT_ONLY, **kwargs, "name": name})

    # Workers

    def scale(self, n: int, worker_group: str = DEFAULT_GROUP) -> Any:
        """Ask for `n` workers in a group; does not wait for them. Ends `adapt` for this group.

        Parameters
        ----------
        n : int
            How many workers the group is to have.
        worker_group : str, optional
            Name of the group within the cluster.

        Raises
        ------
        WorkerGroupNotFound
            With the names of the groups there are.

        Examples
        --------
        >>> cluster.scale(5)  # doctest: +SKIP
        """
        return self.sync(self._scale, parse_count(n, "n"), worker_group)

    async def _scale(self, n: int, worker_group: str) -> None:
        async with self._session.orders:
            await self._session.autoscalers.end(worker_group)
            await self._session.groups.scale(worker_group, n)

    def adapt(
        self, minimum: int | None = None, maximum: int | None = None, worker_group: str = DEFAULT_GROUP
    ) -> Adaptivity:
        """Let a group grow and shrink with its work, by a DaskAutoscaler; `scale` ends it.

        It lasts as long as the cluster, also after this process.

        Parameters
        ----------
        minimum : int, optional
            The fewest workers that there may be, by default 0.
        maximum : int
            The most workers that there may be.
        worker_group : str, optional
            Name of the group within the cluster.

        Returns
        -------
        Adaptivity
            The bounds. In async mode it can be awaited.

        Raises
        ------
        InvalidArgument, InvalidType
            Naming the argument.
        WorkerGroupNotFound
            With the names of the groups there are.

        Examples
        --------
        >>> cluster.adapt(minimum=0, maximum=10)  # doctest: +SKIP
        """
        bounds = parse_bounds(minimum, maximum)
        request = self.sync(self._adapt, worker_group, bounds)
        return PendingAdaptivity(**vars(bounds), request=request) if self.asynchronous else bounds

    async def _adapt(self, worker_group: str, bounds: Adaptivity) -> None:
        async with self._session.orders:
            if worker_group != DEFAULT_GROUP:
                await self._session.groups.find(worker_group)
            await self._session.autoscalers.adapt(worker_group, bounds)

    def add_worker_group(
        self,
        name: str,
        n_workers: int = 3,
        image: str | None = None,
        resources: Mapping[str, Any] | None = None,
        worker_command: str | Sequence[str] | None = None,
        env: Env | None = None,
        custom_spec: Mapping[str, Any] | None = None,
        options: Options | None = None,
    ) -> Any:
        """Add a group of workers of another kind, which goes when the cluster goes.

        Parameters
        ----------
        name : str
            Name of the group within the cluster.
        n_workers : int, optional
            Its workers.
        image, resources, worker_command, env : optional
            As for the class; by default as in the cluster's default group.
        custom_spec : mapping, optional
            As from `make_worker_spec`; used as it is, all others but `name` are ignored.
        options : PodOptions or mapping, optional
            In place of the cluster's ``worker_options``.

        Raises
        ------
        WorkerGroupExists
            If there is a group of that name.
        InvalidArgument, InvalidType
            Naming the argument.
        """
        manifest = make_group(
            self._session.manifest,
            name,
            n_workers,
            image=image,
            resources=resources,
            worker_command=worker_command,
            env=env,
            custom_spec=custom_spec,
            options=options,
        )
        return self.sync(self._add_worker_group, name, manifest)

    async def _add_worker_group(self, name: str, manifest: Manifest) -> None:
        await self._session.groups.add(name, manifest)

    def delete_worker_group(self, name: str) -> Any:
        """Delete a group and its workers.

        Raises
        ------
        WorkerGroupNotFound
            With the names of the groups there are.
        """
        return self.sync(self._delete_worker_group, name)

    async def _delete_worker_group(self, name: str) -> None:
        await self._session.groups.delete(name)

    def worker_groups(self) -> Any:
        """Ask Kubernetes which groups of workers there are, whoever made them.

        Returns
        -------
        dict of str to WorkerGroup
            By name, the default group among them.

        Examples
        --------
        >>> cluster.worker_groups()["default"].adaptivity  # doctest: +SKIP
        Adaptivity(minimum=0, maximum=10)
        """
        return self.sync(self._worker_groups)

    async def _worker_groups(self) -> dict[str, WorkerGroup]:
        return await self._session.worker_groups()

    def suspend(self) -> Any:
        """Let all workers go, and their GPUs with them; does not wait for them.

        The scheduler stays, and clients with it. Results move to no worker any more: what was computed is
        computed again after `resume`, and what was scattered is lost.

        Examples
        --------
        >>> cluster.suspend()  # doctest: +SKIP
        """
        return self.sync(self._suspend, True)

    def resume(self) -> Any:
        """Let the workers come back that `suspend` has let go; does not wait for them."""
        return self.sync(self._suspend, False)

    async def _suspend(self, yes: bool) -> None:
        async with self._session.orders:
            await self._session.suspend_workers(yes)

    def frozen(self) -> Frozen:
        """Keep the workers as they are while a block lasts, as distributed training needs it.

        No worker is made and none is taken away, neither by `adapt`, nor by `scale`, whoever calls it, nor
        for an edited template: what is asked for meanwhile happens afterwards. A worker that dies is not
        replaced. The block begins when no worker is on its way out any more; wait for those that are on
        their way in before. `suspend` and `close` act all the same. If this process dies, it is over after
        two minutes.

        Returns
        -------
        context manager
            For ``with``, or ``async with`` in async mode.

        Raises
        ------
        DaskClusterError
            At its begin, if workers do not come to rest within ``resource_timeout``.

        Examples
        --------
        >>> with cluster.frozen():  # doctest: +SKIP
        ...     booster = xgboost.dask.train(client, params, matrix)
        """
        return Frozen(self)

    @property
    def security(self) -> Any:
        """What a Client has to show: a distributed.Security, or ``None`` if the cluster speaks no TLS.

        Raises
        ------
        DaskClusterError
            If it is to speak TLS and is not started yet, so that a Client must wait.
        """
        known = self._session.security
        if known is None and self._session.settings.security is True and self.status is Status.created:
            raise DaskClusterError(
                "its certificates are not known before it is started",
                where=self._session.where,
                cure="Await the cluster before you make a Client of it.",
            )
        return known

    # Looking at it

    def get_logs(self) -> Any:
        """Read what all Pods of the cluster have written.

        Returns
        -------
        distributed.utils.Logs
            By Pod name.
        """
        return self.sync(self._get_logs)

    async def _get_logs(self) -> Any:
        return await self._session.logs()

    @property
    def dashboard_link(self) -> str:
        """Where the scheduler's dashboard is seen from here; empty if not connected, or if it is not."""
        route = self._session.route
        return str(format_dashboard_link(*route.dashboard)) if route and route.dashboard else ""

    @property
    def jupyter_link(self) -> str:
        """Where the scheduler's Jupyter server is seen from here.

        Raises
        ------
        DaskClusterError
            If the cluster runs none.
        """
        if not self.jupyter:
            raise DaskClusterError(
                "no Jupyter server runs on the scheduler",
                where=self._session.where,
                cure="Create the cluster with jupyter=True.",
            )
        return self.dashboard_link.replace("/status", "/jupyter/lab")

    def __repr__(self) -> str:
        there = len(self.scheduler_info["workers"])
        shown = worker_count(there, self._session.wanted_workers)
        text = str(super().__repr__()).replace(f"workers={there}", f"workers={shown}", 1)
        why = sentence(self._session.standings)
        return f"{text.removesuffix(')')}, {why})" if why else text

    def _repr_html_(self, cluster_status: str | None = None) -> str:
        """Draw the cluster for a notebook, with how its worker groups stand."""
        groups = to_html(self._session.standings)
        rows = f'<tr><td colspan="2">{groups}</td></tr>' if groups else ""
        return str(super()._repr_html_(f"{cluster_status or ''}{rows}" or None))

    def _scaling_status(self) -> str:
        """Fill the widget's line about workers (the base's reads an attribute it never sets)."""
        shown = worker_count(len(self.scheduler_info["workers"]), self._session.wanted_workers)
        return f"<p>Workers: {shown}</p>{to_html(self._session.standings)}"

    # Saying why

    async def _wait_for_workers(self, n_workers: int = 0, timeout: Any = None) -> None:
        """Wait as the base does; a note on its time-out says what the workers wait for."""
        try:
            await super()._wait_for_workers(n_workers, timeout)
        except (TimeoutError, asyncio.TimeoutError) as error:
            if why := sentence(self._session.standings):
                add_note(error, f"{self._session.where}: {why}")
            raise

    def _update_worker_status(self, op: str, msg: Any) -> None:
        """Take note of workers that come and go."""
        left = self.scheduler_info["workers"].get(msg) if op == "remove" else None
        super()._update_worker_status(op, msg)
        if left is not None:
            self._session.worker_left(str(left["name"]), msg)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if any(killed_workers(error)):
            with suppress(Exception):
                self.sync(self._session.explain_killed, error)
        super().__exit__(kind, error, trace)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and any(killed_workers(error)):
            with suppress(Exception):
                await self._session.explain_killed(error)
        await super().__aexit__(kind, error, trace)


def _refuse_unknown(unknown: Mapping[str, Any]) -> None:
    known = [name for name in inspect.signature(KubeCluster).parameters if name != "unknown"]
    for name in unknown:
        raise TypeError(
            f"KubeCluster has no argument {name!r}{hint(name, known)}. It has {', '.join(known)}."
        )


def _warn_of_ignored(given: Mapping[str, Any]) -> None:
    if given["custom_cluster_spec"] is None:
        return
    ignored = [name for name in _SHAPING if given[name] is not None]
    ignored += ["security"] if isinstance(given["security"], bool) else []
    if ignored:
        warnings.warn(
            f"custom_cluster_spec says it all; ignored: {', '.join(ignored)}", UserWarning, stacklevel=3
        )
