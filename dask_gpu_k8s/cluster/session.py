"""One DaskCluster and everything that holds this process' connection to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from distributed.security import Security

from dask_gpu_k8s.api.resources import DASKCLUSTER
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import missing, ways
from dask_gpu_k8s.cluster.adaptivity import WorkerGroup
from dask_gpu_k8s.cluster.autoscalers import Autoscalers
from dask_gpu_k8s.cluster.connect import Route, open_route
from dask_gpu_k8s.cluster.display import Progress
from dask_gpu_k8s.cluster.ends import WorkerEnds
from dask_gpu_k8s.cluster.freezing import Hold
from dask_gpu_k8s.cluster.groups import Groups
from dask_gpu_k8s.cluster.heartbeat import Heartbeat
from dask_gpu_k8s.cluster.killed import add_note, killed_workers, make_note
from dask_gpu_k8s.cluster.knock import hear_scheduler
from dask_gpu_k8s.cluster.lifetime import LIMIT, Remains, delete_cluster
from dask_gpu_k8s.cluster.line import ANSWER_SECONDS, open_comm
from dask_gpu_k8s.cluster.logs import collect_logs
from dask_gpu_k8s.cluster.lookout import Lookout
from dask_gpu_k8s.cluster.presence import until_gone
from dask_gpu_k8s.cluster.security import find_security
from dask_gpu_k8s.cluster.settings import Settings
from dask_gpu_k8s.cluster.standing import Standing, of_scheduler
from dask_gpu_k8s.cluster.start import Found, find_or_create
from dask_gpu_k8s.cluster.surroundings import find_way
from dask_gpu_k8s.cluster.translate import in_plain_words, translate
from dask_gpu_k8s.cluster.verdict import Verdict
from dask_gpu_k8s.cluster.wait import wait_for_operator, wait_for_scheduler, wait_until_gone
from dask_gpu_k8s.cluster.workers import Workers
from dask_gpu_k8s.errors import ClusterNotFound, DaskClusterError
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.config import Connection
from dask_gpu_k8s.kube.errors import Forbidden, KubeError
from dask_gpu_k8s.kube.within import despite_cancellation, ended, first

logger = logging.getLogger(__name__)


class Session:
    """From settings to an open line to a scheduler, and back.

    Parameters
    ----------
    settings : Settings
    wanted : Manifest
        The DaskCluster that they ask for, as from `wanted_manifest`.
    quiet : bool
        Show no progress.

    Attributes
    ----------
    name : str
        Name of the DaskCluster.
    namespace : str or None
        ``None`` until the kubeconfig has been read.
    found : Found or None
        The DaskCluster, once it is there.
    comm : distributed.core.rpc or None
        The line to the scheduler, once it is open.
    route : Route or None
        Where the scheduler is reached.
    security : distributed.Security or None
        What is shown to it; ``None`` if it does not speak TLS, or nobody knows yet.
    orders : asyncio.Lock
        Held while one order about sizes is carried out: they take effect in the order of the calls.
    is_leaving : bool
        Whether we are about to delete the DaskCluster, so that its end is no news.
    """

    def __init__(self, settings: Settings, wanted: Manifest, quiet: bool) -> None:
        self.settings = settings
        self._quiet = quiet
        self._wanted_manifest = wanted
        metadata = wanted["metadata"]
        self.name: str = metadata["name"]
        self.namespace: str | None = settings.namespace or metadata.get("namespace")
        self.found: Found | None = None
        self.comm: Any = None
        self.route: Route | None = None
        self.security: Security | None = None
        self.is_leaving = False
        self._kube: KubeClient | None = None
        self._connection: Connection | None = None
        self._workers: Workers | None = None
        self._ends: WorkerEnds | None = None
        self.orders = asyncio.Lock()
        self._holds: set[Hold] = set()
        self._gone = ""
        self._stack = AsyncExitStack()

    @property
    def where(self) -> str:
        """What messages call the cluster."""
        return f"DaskCluster {self.namespace}/{self.name}"

    @property
    def kube(self) -> KubeClient:
        """The line to Kubernetes.

        Raises
        ------
        ClusterNotFound
            If the DaskCluster is gone.
        DaskClusterError
            If it is not open.
        """
        if self._gone:
            raise ClusterNotFound(f"it is gone: {self._gone}", where=self.where, cure="Make a new one")
        if self._kube is None:
            raise DaskClusterError(
                "it is not started or already closed", where=self.where, cure="Await the cluster first."
            )
        return self._kube

    @property
    def groups(self) -> Groups:
        """The cluster's worker groups."""
        return Groups(self.kube, self.namespace or "", self.name)

    @property
    def autoscalers(self) -> Autoscalers:
        """The cluster's autoscalers."""
        return Autoscalers(self.kube, self.namespace or "", self.name)

    @property
    def wanted_workers(self) -> int | None:
        """How many workers the cluster is to have; ``None`` if that is not known."""
        return self._workers.count if self._workers else None

    @property
    def standings(self) -> list[Standing]:
        """How the worker groups stand."""
        return self._workers.standings if self._workers else []

    async def connect(self) -> None:
        """Reach Kubernetes.

        Raises
        ------
        NoKubernetes
        """
        with in_plain_words("Kubernetes"):
            self._kube = await KubeClient.open(self.settings.kubeconfig, self.settings.context)
        self._connection = self._kube.connection
        self._stack.push_async_callback(self._kube.close)
        self.namespace = self.namespace or self._kube.namespace

    async def find_or_create(self) -> None:
        """Find the DaskCluster, or create it; if cancelled, still come to know which it was."""
        looking = asyncio.ensure_future(
            find_or_create(self.kube, self._wanted_manifest, self.namespace or "", self.settings.create_mode)
        )
        try:
            self.found = await asyncio.shield(looking)
        except asyncio.CancelledError:
            # The request is on its way: what it creates must not be left behind unknown.
            await despite_cancellation(looking, LIMIT)
            if not looking.done():
                logger.warning("%s: whether it was created is not known: no answer came.", self.where)
                looking.cancel()
            elif not looking.exception():
                self.found = looking.result()
            raise
        if self.manifest["spec"].get("ttl"):
            await self._show_life(Heartbeat(self.kube, self.manifest))

    async def _show_life(self, heartbeat: Heartbeat) -> None:
        try:
            await heartbeat.beat()
        except Forbidden as error:
            if self.has_created:
                # It would be deleted under its user's hands.
                raise translate(error, self.where) from error
            missing.tell(error)
            return
        except (KubeError, asyncio.TimeoutError) as error:
            logger.warning("%s", heartbeat.warning(error))
        self._run_until_closed(heartbeat.run())

    def _run_until_closed(self, work: Coroutine[Any, Any, None]) -> None:
        self._stack.push_async_callback(ended, asyncio.ensure_future(work))

    @property
    def has_created(self) -> bool:
        """Whether the DaskCluster was created here."""
        return self.found is not None and self.found.created

    async def reach_scheduler(self) -> None:
        """Wait for the scheduler and open a line to it.

        Raises
        ------
        OperatorNotFound, StartFailed, VersionMismatch
        InvalidArgument, NotAllowed
            If the way to the scheduler that was asked for does not exist, or its certificates may not be
            read.
        """
        cluster, settings = self.manifest, self.settings
        if self.has_created:
            ways.check_type(ways.asked_service(cluster), settings.wish)
        self._workers = await self._stack.enter_async_context(
            Workers(self.kube, self.namespace or "", self.name)
        )
        with Progress(self.where, self._quiet) as progress:

            def tell(verdict: Verdict) -> None:
                text = f"waiting for the scheduler: {verdict.message or verdict.reason}"
                progress.say(text, [of_scheduler(verdict), *self.standings])

            with in_plain_words(self.where):
                async with Lookout(self.kube, cluster) as lookout:
                    progress.say("waiting for the operator")
                    await lookout.synced()
                    await wait_for_operator(lookout)
                    pod = await first(
                        wait_for_scheduler(lookout, settings.resource_timeout, tell),
                        hear_scheduler(lookout),
                    )
                plan = await find_way(
                    self.kube, cluster, pod, settings.wish, settings.resource_timeout, progress.say
                )
                self.security = await find_security(self.kube, cluster, settings.security)
            self.route = await open_route(
                self.kube,
                cluster,
                plan,
                self._stack,
                settings.scheduler_forward_port,
                scheme="tls" if self.security else "tcp",
                is_news=lambda: not self.is_leaving,
            )
            progress.say(f"connecting to {self.route.address} ({plan.mode})")
            self.comm = await open_comm(
                self.route.address,
                self.where,
                # A load balancer may take as long as a node.
                seconds=max(ANSWER_SECONDS, settings.resource_timeout),
                cure=self.route.cure,
                security=self.security,
                opens_late=plan.mode is not ways.PORT_FORWARD,
            )
            self._stack.push_async_callback(self.comm.close_rpc)
        self._ends = await self._stack.enter_async_context(
            WorkerEnds(self.kube, self.namespace or "", self.name)
        )
        self._run_until_closed(self._tell_when_gone())

    async def _tell_when_gone(self) -> None:
        why = await until_gone(self.kube, self.manifest)
        if not self.is_leaving:
            self._gone = why
            logger.warning("%s is gone: %s", self.where, why)

    def worker_left(self, name: str, address: str) -> None:
        """Take note that a worker has left the scheduler, for whatever reason."""
        if self._ends is not None:
            self._ends.worker_left(name, address)

    async def explain_killed(self, error: BaseException) -> None:
        """Add to each KilledWorker behind an exception how its workers ended."""
        if self._ends is None:
            return
        found = list(killed_workers(error))
        workers = [killed.last_worker for killed in found]
        ends = [self._ends.of_worker(str(worker.name), worker.address) for worker in workers]
        for killed, last in zip(found, await asyncio.gather(*ends), strict=True):
            if note := make_note(last, self._ends.troubles()):
                add_note(killed, note)

    @property
    def manifest(self) -> Manifest:
        """The DaskCluster as it was found or created."""
        if self.found is None:
            raise DaskClusterError("it is not there yet", where=self.where, cure="Await the cluster first.")
        return self.found.manifest

    async def worker_groups(self) -> dict[str, WorkerGroup]:
        """Return all groups of workers by their names within the cluster."""
        bounds = await self.autoscalers.bounds()
        with in_plain_words(self.where):
            groups = await self.groups.by_name()
        return {
            name: WorkerGroup(
                int(group["spec"]["worker"].get("replicas", 1)), bounds.get(group["metadata"]["name"])
            )
            for name, group in groups.items()
        }

    async def freeze(self) -> Hold:
        """Keep the workers as they are.

        Raises
        ------
        DaskClusterError
            If they do not come to rest within ``resource_timeout``.
        """
        hold = Hold(self.kube, self.groups, self.namespace or "", self.name)
        self._holds.add(hold)
        try:
            with in_plain_words(self.where):
                await hold.begin(self.settings.resource_timeout)
        except BaseException:
            self._holds.discard(hold)
            raise
        return hold

    async def thaw(self, hold: Hold) -> None:
        """Let the workers come and go again."""
        if hold in self._holds:
            self._holds.discard(hold)
            await hold.end()

    async def suspend_workers(self, yes: bool) -> None:
        """Ask for no workers at all, or for all of them again."""
        with in_plain_words(self.where):
            patch = {"spec": {"suspendWorkers": yes}}
            await self.kube.patch(DASKCLUSTER, self.name, patch, self.namespace)

    async def logs(self) -> Any:
        """Read what all Pods of the cluster have written; see `collect_logs`."""
        with in_plain_words(self.where):
            return await collect_logs(self.kube, str(self.namespace), self.name)

    def remains(self) -> Remains | None:
        """Say what there is to delete."""
        if self.found is None or self._connection is None or self._gone:
            return None
        metadata = self.found.manifest["metadata"]
        return Remains(self._connection, metadata["namespace"], metadata["name"], metadata["uid"])

    async def delete(self, timeout: float) -> None:
        """Delete the DaskCluster, and wait until it is gone.

        Raises
        ------
        CloseTimedOut
            After `timeout` seconds.
        """
        remains = self.remains()
        if remains is None:
            return
        self.is_leaving = True
        with in_plain_words(self.where):
            await delete_cluster(self.kube, remains)
            await wait_until_gone(self.kube, self.manifest, timeout)

    async def give_up(self) -> None:
        """Delete what was created by a start that failed."""
        remains = self.remains()
        if remains is None or not self.has_created:
            return
        self.is_leaving = True
        try:
            await asyncio.wait_for(delete_cluster(self.kube, remains), LIMIT)
        except Exception as error:
            logger.warning("%s could not be deleted after its start had failed: %r", self.where, error)

    async def close(self) -> None:
        """Close everything but the DaskCluster itself."""
        for hold in list(self._holds):
            await self.thaw(hold)
        await self._stack.aclose()
        self._kube = None
