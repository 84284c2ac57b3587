"""KubeCluster: a Dask cluster on Kubernetes, held in the hand."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from distributed.core import Status
from distributed.utils import NoOpAwaitable, format_dashboard_link, sync

from dask_gpu_k8s.api.names import DEFAULT_GROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import lifetime, loops
from dask_gpu_k8s.cluster.arguments import hint, parse_count
from dask_gpu_k8s.cluster.base import SteadyCluster
from dask_gpu_k8s.cluster.display import worker_count
from dask_gpu_k8s.cluster.facts import facts
from dask_gpu_k8s.cluster.groups import make_group
from dask_gpu_k8s.cluster.logs import collect_logs
from dask_gpu_k8s.cluster.modes import CreateMode
from dask_gpu_k8s.cluster.session import Session
from dask_gpu_k8s.cluster.settings import ARGUMENTS, resolve
from dask_gpu_k8s.cluster.spec import Env, Options
from dask_gpu_k8s.cluster.translate import in_plain_words
from dask_gpu_k8s.errors import DaskClusterError

ABANDON_SECONDS = 2.0
"""How long dropping a connection may take when the process leaves."""

_SHAPING = (
    "name", "image", "n_workers", "resources", "env", "worker_command", "idle_timeout", "jupyter",
    "scheduler_service_type", "scheduler_resources", "scheduler_options", "worker_options",
)  # fmt: skip


class KubeCluster(SteadyCluster):
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
        Reach the scheduler by port-forward always, never, or (default) from outside Kubernetes.
    create_mode : CreateMode or str, optional
        Default ``CREATE_OR_CONNECT``.
    shutdown_on_close : bool, optional
        Delete the DaskCluster at `close` and at exit. Default: if it was created here. In the
        configuration, ``false`` keeps what is created; only the argument deletes what was connected to.
    idle_timeout : int, optional
        Seconds without work after which the cluster is deleted. Default never.
    resource_timeout : float, optional
        Seconds without any progress after which a start has failed. Default 60.
    scheduler_service_type : str, optional
        ``ClusterIP`` (default), ``NodePort`` or ``LoadBalancer``.
    custom_cluster_spec : path or mapping, optional
        A DaskCluster, in place of all arguments that would shape one.
    scheduler_forward_port : int, optional
        Local port of the dashboard. Default any.
    jupyter : bool, optional
        Run a Jupyter server on the scheduler. Default no.
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
        create_mode: CreateMode | str | None = None,
        shutdown_on_close: bool | None = None,
        idle_timeout: int | None = None,
        resource_timeout: float | None = None,
        scheduler_service_type: str | None = None,
        custom_cluster_spec: Any = None,
        scheduler_forward_port: int | None = None,
        jupyter: bool | None = None,
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
        self._session = Session(settings, quiet)
        lifetime.watch_sigterm()
        self._is_over = False
        self._starting: asyncio.Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._keeper: asyncio.Future[None] | None = None
        for argument in ARGUMENTS:
            if argument != "name":
                setattr(self, argument, getattr(settings, argument))
        self.namespace: str | None = self._session.namespace
        self.shutdown_on_close: bool | None = settings.shutdown_on_close
        self._begin(
            loop=loop,
            asynchronous=asynchronous,
            quiet=quiet,
            name=self._session.name,
            scheduler_sync_interval=scheduler_sync_interval,
        )

    def _begin(self, *, loop: Any, asynchronous: bool, **options: Any) -> None:
        """Take a loop and, unless this is to be awaited, start."""

        def take(loop: Any) -> Any:
            SteadyCluster.__init__(self, loop=loop, asynchronous=asynchronous, **options)
            return self._loop_runner

        self._has_own_thread = not asynchronous
        if asynchronous or loop is not None:
            take(loop)
        else:
            loops.start_on_shared_loop(take)
        if asynchronous or self.called_from_running_loop:
            return
        if loop is not None:
            self._loop_runner.start()
        try:
            self.sync(self._started)
        except BaseException:
            # After Ctrl-C the start is being cancelled in the loop; it cleans up there.
            with suppress(Exception):
                self.sync(self._start_is_over, callback_timeout=lifetime.LIMIT)
            loops.stop(self._loop_runner)
            raise

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

    # Starting

    def __await__(self) -> Generator[Any, None, KubeCluster]:
        return self._started().__await__()

    async def _started(self) -> KubeCluster:
        if self._starting is None and self.status is Status.created:
            self._starting = asyncio.ensure_future(self._start())
        if self._starting is not None:
            await self._starting
        return self

    async def _start_is_over(self) -> None:
        if self._starting is not None:
            await asyncio.wait({self._starting})

    async def _start(self) -> None:
        if not self._has_own_thread:
            self._keeper = asyncio.ensure_future(self._keep())
        try:
            await self._session.connect()
            self.namespace = self._session.namespace
            await self._session.find_or_create()
            self._adopt()
            await self._session.reach_scheduler()
            self.scheduler_comm = self._session.comm
            await super()._start()
        except BaseException:
            self.status = Status.closing
            await self._session.give_up()
            await self._release()
            self._finish()
            raise

    def _adopt(self) -> None:
        """Take over what the DaskCluster says, whoever made it, and answer for it from now on."""
        lifetime.register(self)
        for fact, value in facts(self._session.manifest).items():
            setattr(self, fact, value)
        if self.shutdown_on_close is None:
            created = self._session.found is not None and self._session.found.created
            self.shutdown_on_close = created and not self._session.settings.keep_created

    # Closing

    async def _keep(self) -> None:
        """Stay until the user's loop shuts down, which cancels all tasks, and disconnect while it runs."""
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if self.status not in (Status.closing, Status.closed):
                await self._close_clients()
                await self._release()
            raise

    def close(self, timeout: float = 3600) -> Any:
        """Disconnect, and delete the cluster if `shutdown_on_close` says so or it was created here.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait until a deleted DaskCluster is gone.

        Returns
        -------
        None or awaitable

        Raises
        ------
        CloseTimedOut
            If the DaskCluster is still there after `timeout` seconds; the connection is closed anyway.
        """
        if self._is_over:
            return NoOpAwaitable() if self.asynchronous else None
        if self.loop.asyncio_loop.is_closed():
            lifetime.leave([self])
            return None
        result = self.sync(self._close, timeout)
        if isinstance(result, asyncio.Future):
            return result
        self._stop_loop()
        return None

    async def _close(self, timeout: float = 3600) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close_once(timeout))
        await asyncio.shield(self._closing)

    async def _close_once(self, timeout: float) -> None:
        self.status = Status.closing
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        try:
            if self.shutdown_on_close and not self._is_over:
                await self._session.delete(timeout)
        finally:
            await self._release()
            self._finish()

    async def _release(self) -> None:
        """Close everything that belongs to this process."""
        if self._keeper is not None and self._keeper is not asyncio.current_task():
            self._keeper.cancel()
        await self._disconnect()
        await self._session.close()

    def _finish(self) -> None:
        self.status = Status.closed
        self._is_over = True
        lifetime.forget(self)

    def _stop_loop(self) -> None:
        if self._has_own_thread:
            loops.stop(self._loop_runner)

    # What lifetime asks for when the process leaves

    def _begin_leaving(self) -> lifetime.Remains | None:
        self.status = Status.closing
        return self._session.remains() if self.shutdown_on_close else None

    def _abandon(self, timeout: float) -> None:
        if self._has_own_thread and self.loop.asyncio_loop.is_running():
            with suppress(Exception):
                sync(self.loop, self._release, callback_timeout=min(timeout, ABANDON_SECONDS))
        self._finish()
        self._stop_loop()

    def __del__(self) -> None:
        """Say nothing: `lifetime` holds what was started until it is closed, so nothing is lost."""

    # Workers

    def scale(self, n: int, worker_group: str = DEFAULT_GROUP) -> Any:
        """Ask for `n` workers in a group; does not wait for them.

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
        await self._session.groups.scale(worker_group, n)

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
        session = self._session
        with in_plain_words(session.where):
            return await collect_logs(session.kube, str(session.namespace), session.name)

    @property
    def dashboard_link(self) -> str:
        """Where the scheduler's dashboard is seen from here; empty if not connected."""
        route = self._session.route
        return str(format_dashboard_link(*route.dashboard)) if route else ""

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
        return str(super().__repr__()).replace(f"workers={there}", f"workers={shown}", 1)

    def _scaling_status(self) -> str:
        """Fill the widget's line about workers (the base's reads an attribute it never sets)."""
        shown = worker_count(len(self.scheduler_info["workers"]), self._session.wanted_workers)
        return f"<p>Workers: {shown}</p>"


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
    if ignored:
        warnings.warn(
            f"custom_cluster_spec says it all; ignored: {', '.join(ignored)}", UserWarning, stacklevel=3
        )
