"""What an operator must be able to do, as short stories that fail where one of its rights is missing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from dask_gpu_k8s.api import deploy, labels, names
from dask_gpu_k8s.api.conditions import format_time
from dask_gpu_k8s.api.resources import (
    BUDGET,
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    EVENT,
    NETWORKPOLICY,
    NODE,
    POD,
    SECRET,
    SERVICE,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NotFound
from tests.e2e.node import versions

IMAGE = f"{versions.DASK_IMAGE}:{versions.NEWEST_DASK}"
PERIOD = 0.2
FORGIVEN = 1.5
"""Seconds that the operator gets after it was first refused something: then it will not do it any more."""

LONGEST = 60.0
"""Seconds for a step that nobody refuses; how fast it is, is tested elsewhere."""

OPERATOR = {"app.kubernetes.io/name": deploy.CHART}
_numbers = itertools.count(1)


class StepFailed(AssertionError):
    """A step of a story did not come about."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(f"{step}: {why}")
        self.step = step


@dataclass
class Stage:
    """Where stories play: a namespace of a cluster in which an operator runs.

    Attributes
    ----------
    kube : KubeClient
        As the administrator.
    namespace : str
    home : str
        The operator's own namespace.
    name : str
        For the story's objects.
    restarted : bool
        Whether a story has started the operator anew.
    """

    kube: KubeClient
    namespace: str
    home: str
    name: str = field(default_factory=lambda: f"story-{next(_numbers)}")
    restarted: bool = False
    _heard: set[str] = field(default_factory=set)

    async def until(
        self, what: str, is_so: Callable[[], Awaitable[Any]], *, longest: float = LONGEST, heed: str = ""
    ) -> None:
        """Wait for something; give up soon after the operator was refused something for this story.

        Parameters
        ----------
        what : str
            What is waited for, for people.
        is_so : callable
        longest : float
            Seconds.
        heed : str
            Heed only refusals that say this.
        """
        start = time.monotonic()
        refused: float | None = None
        while not await is_so():
            now = time.monotonic()
            line = await self.refusal(heed)
            refused = refused or (now if line else None)
            if refused is not None and now - refused > FORGIVEN:
                raise StepFailed(what, line)
            if now - start > longest:
                raise StepFailed(what, f"not within {longest:g} s")
            await asyncio.sleep(PERIOD)

    async def refusal(self, heed: str = "") -> str:
        """Return a line of the operator's log that speaks of a missing right, if there is a new one."""
        lines = [line for line in await self._log() if line not in self._heard and heed in line]
        return lines[-1] if lines else ""

    async def listen(self) -> None:
        """Take what the operator has said so far for old."""
        self._heard.update(await self._log())

    async def _log(self) -> list[str]:
        pod = await self.operator()
        text = await self.kube.logs(pod["metadata"]["name"], self.home, tail=400) if pod else ""
        return [
            line
            for line in text.splitlines()
            if "forbidden" in line
            and any(word in line for word in (self.namespace, " is interrupted", "Lease cannot be asked for"))
        ]

    async def operator(self) -> Manifest | None:
        """Return the operator's Pod, if it has started."""
        pods = (await self.kube.list(POD, self.home, labels=OPERATOR))["items"]
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return alive[0] if alive and alive[0]["status"]["phase"] == "Running" else None

    async def get(self, resource: Resource, name: str) -> Manifest:
        """Return an object, or nothing."""
        try:
            return await self.kube.get(resource, name, self.namespace)
        except NotFound:
            return {}

    async def create(self, resource: Resource, spec: Manifest, name: str = "") -> None:
        """Create an object."""
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        await self.kube.create(resource, {**obj, "metadata": {"name": name or self.name}}, self.namespace)

    async def edit(self, spec: Manifest) -> None:
        """Merge something into the spec of the story's cluster."""
        await self.kube.patch(DASKCLUSTER, self.name, {"spec": spec}, self.namespace)

    async def status(self, resource: Resource, name: str = "") -> Manifest:
        """Return the status of an object."""
        return (await self.get(resource, name or self.name)).get("status") or {}


async def starts(stage: Stage) -> None:
    """The operator starts and is ready."""
    pods = (await stage.kube.list(POD, stage.home, labels=OPERATOR))["items"]
    for pod in pods:
        with contextlib.suppress(NotFound):
            await stage.kube.delete(POD, pod["metadata"]["name"], stage.home, grace_seconds=1)
    old = {pod["metadata"]["uid"] for pod in pods}
    stage.restarted = True

    async def is_ready() -> bool:
        pod = await stage.operator()
        if pod is None or pod["metadata"]["uid"] in old:
            return False
        return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])

    await stage.until("the operator is ready", is_ready, heed="cannot list")


async def comes_up(stage: Stage, *, workers: int = 1, real: bool = False) -> None:
    """A cluster comes up with its workers, says so, and has a Service."""
    await stage.create(DASKCLUSTER, cluster_spec(stage.name, workers, real=real))

    async def is_up() -> bool:
        status = await stage.status(DASKCLUSTER)
        return status.get("phase") == "Running" and status.get("readyWorkers") == workers

    await stage.until("the cluster is running with its workers", is_up)
    assert await stage.get(SERVICE, names.scheduler(stage.name))


async def is_secured(stage: Stage) -> None:
    """A cluster that asks for it gets certificates, and says until when they hold."""
    spec = {**cluster_spec(stage.name, 0), "security": True}
    await stage.create(DASKCLUSTER, spec)

    async def holds() -> bool:
        conditions = (await stage.status(DASKCLUSTER)).get("conditions") or []
        return any(one["type"] == "Secured" and one["status"] == "True" for one in conditions)

    await stage.until("the cluster is secured", holds)
    assert await stage.get(SECRET, names.tls_secret(stage.name))


async def renews(stage: Stage) -> None:
    """The certificates of a secured cluster are renewed when somebody asks for it."""
    await is_secured(stage)
    before = (await stage.get(SECRET, names.tls_secret(stage.name)))["data"]
    wish = {"metadata": {"annotations": {labels.RENEW: "1"}}}
    await stage.kube.patch(DASKCLUSTER, stage.name, wish, stage.namespace)

    async def are_others() -> bool:
        data = (await stage.get(SECRET, names.tls_secret(stage.name)))["data"]
        return bool(data["tls.crt"] == before["next.crt"])

    await stage.until("the certificates are renewed", are_others)


async def starts_and_comes_up(stage: Stage) -> None:
    """The operator starts, and a cluster comes up."""
    await starts(stage)
    await comes_up(stage)


async def starts_and_ends_job(stage: Stage) -> None:
    """The operator starts, and a job ends."""
    await starts(stage)
    await job_ends(stage)


async def starts_and_mends(stage: Stage) -> None:
    """The operator starts while there is a cluster, and makes its Service anew when that is deleted."""
    await comes_up(stage, workers=0)
    await starts(stage)
    await _is_made_anew(stage, SERVICE, names.scheduler(stage.name))


async def starts_and_protects_again(stage: Stage) -> None:
    """The operator starts while there is a cluster, and makes its budget anew when that is deleted."""
    await is_protected(stage)
    await starts(stage)
    await _is_made_anew(stage, BUDGET, names.scheduler(stage.name))


async def starts_and_closes_again(stage: Stage) -> None:
    """The operator starts while there is a cluster, and makes its policy anew when that is deleted."""
    await closes(stage)
    await starts(stage)
    await _is_made_anew(stage, NETWORKPOLICY, names.network_policy(stage.name))


async def _is_made_anew(stage: Stage, resource: Resource, name: str) -> None:
    async def is_mended() -> bool:
        found = await stage.get(resource, name)
        return bool(found) and found["metadata"]["uid"] != before["metadata"]["uid"]

    # The first time an operator that has just started may see by its list that it is gone.
    for _ in range(2):
        before = await stage.get(resource, name)
        await stage.kube.delete(resource, name, stage.namespace)
        await stage.until(f"the {resource.kind} is there again", is_mended)


async def is_protected(stage: Stage) -> None:
    """A cluster comes up, and evictions spare its scheduler."""
    await comes_up(stage, workers=0)
    await stage.until("there is a budget", lambda: stage.get(BUDGET, names.scheduler(stage.name)))


async def is_unprotected(stage: Stage) -> None:
    """A cluster whose scheduler is no more to be spared loses its budget."""
    await is_protected(stage)
    await stage.edit({"scheduler": {"podDisruptionBudget": False}})
    await stage.until("it is gone", lambda: _is_gone(stage, BUDGET, names.scheduler(stage.name)))


async def budget_taken(stage: Stage) -> None:
    """A cluster whose budget's name is taken says so, and comes up."""
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    await stage.create(BUDGET, spec, names.scheduler(stage.name))
    await stage.create(DASKCLUSTER, cluster_spec(stage.name, 0))
    await stage.until(
        "the cluster says that the name is taken", lambda: _is_taken(stage, DASKCLUSTER, "SchedulerProtected")
    )


async def closes(stage: Stage) -> None:
    """A cluster that is to be closed to others gets a policy."""
    await stage.create(DASKCLUSTER, {**cluster_spec(stage.name, 0), "networkPolicy": True})
    await stage.until("there is a policy", lambda: stage.get(NETWORKPOLICY, names.network_policy(stage.name)))


async def opens(stage: Stage) -> None:
    """A cluster that is not to be closed any more loses its policy."""
    await closes(stage)
    await stage.edit({"networkPolicy": False})
    await stage.until("it is gone", lambda: _is_gone(stage, NETWORKPOLICY, names.network_policy(stage.name)))


async def lets_in(stage: Stage) -> None:
    """Others are let into a closed cluster later."""
    await closes(stage)
    await stage.edit({"networkPolicyFrom": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]})

    async def are_let_in() -> bool:
        policy = await stage.get(NETWORKPOLICY, names.network_policy(stage.name))
        return {"ipBlock": {"cidr": "10.9.0.0/16"}} in policy["spec"]["ingress"][0]["from"]

    await stage.until("the policy names them", are_let_in)


async def policy_taken(stage: Stage) -> None:
    """A cluster whose policy's name is taken says so."""
    await stage.create(NETWORKPOLICY, {"podSelector": {}}, names.network_policy(stage.name))
    await stage.create(DASKCLUSTER, {**cluster_spec(stage.name, 0), "networkPolicy": True})
    await stage.until("the cluster says that the name is taken", lambda: _is_taken(stage, DASKCLUSTER))


async def changes_service(stage: Stage) -> None:
    """The Service of a cluster gets another port when the cluster's spec is edited."""
    await comes_up(stage, workers=0)
    await stage.edit({"scheduler": {"service": {"ports": [{"name": "tcp-comm", "port": 9786}]}}})

    async def is_changed() -> bool:
        service = await stage.get(SERVICE, names.scheduler(stage.name))
        return [port["port"] for port in service["spec"]["ports"]] == [9786]

    await stage.until("the Service has the port", is_changed)


async def _is_gone(stage: Stage, resource: Resource, name: str) -> bool:
    return not await stage.get(resource, name)


async def tells(stage: Stage) -> None:
    """There is an Event about a cluster that came up."""
    await comes_up(stage, workers=0)

    async def is_told() -> bool:
        found = await stage.kube.list(
            EVENT, stage.namespace, fields=f"involvedObject.name={stage.name},involvedObject.kind=DaskCluster"
        )
        return bool(found["items"])

    await stage.until("an Event tells of it", is_told, longest=12)


async def shrinks(stage: Stage) -> None:
    """A cluster of two working workers is scaled down to one."""
    await comes_up(stage, workers=2, real=True)
    patch = {"spec": {"worker": {"replicas": 1}}}
    await stage.kube.patch(DASKCLUSTER, stage.name, patch, stage.namespace)

    async def is_smaller() -> bool:
        pods = (await stage.kube.list(POD, stage.namespace, labels=labels.of_cluster(stage.name)))["items"]
        return sum("deletionTimestamp" not in pod["metadata"] for pod in pods) == 2

    await stage.until("one worker is left beside the scheduler", is_smaller)


async def expires(stage: Stage) -> None:
    """A cluster with a ttl that nobody renews is deleted."""
    await stage.create(DASKCLUSTER, {**cluster_spec(stage.name, 0), "ttl": 1})

    async def is_gone() -> bool:
        return not await stage.get(DASKCLUSTER, stage.name)

    await stage.until("the cluster is gone", is_gone)


async def starts_and_replaces(stage: Stage) -> None:
    """The operator starts, and replaces a worker whose node goes silent."""
    await starts(stage)
    node = f"{stage.name}-node"
    await stage.kube.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    try:
        await _says(stage, node, ready=True)
        spec = cluster_spec(stage.name, 1)
        spec["worker"]["spec"]["nodeName"] = node
        await stage.create(DASKCLUSTER, spec)
        await stage.until("the worker is there", lambda: _has_workers(stage, 1))
        # Stamps are in whole seconds, and the worker has to be older than the node's silence.
        await asyncio.sleep(1.1)
        await _says(stage, node, ready=False)
        await stage.until("another worker is there", lambda: _has_workers(stage, 2), heed="cannot")
    finally:
        await stage.kube.delete(NODE, node)


async def _says(stage: Stage, node: str, *, ready: bool) -> None:
    now = format_time(datetime.now(timezone.utc))
    condition = {"type": "Ready", "status": str(ready), "reason": "Test", "lastTransitionTime": now}
    await stage.kube.patch(NODE, node, {"status": {"conditions": [condition]}}, sub="status")


async def _has_workers(stage: Stage, count: int) -> bool:
    wanted = {**labels.of_cluster(stage.name), labels.COMPONENT: labels.WORKER}
    return len((await stage.kube.list(POD, stage.namespace, labels=wanted))["items"]) == count


async def adopts(stage: Stage) -> None:
    """A group that somebody adds to a cluster goes when the cluster goes."""
    await comes_up(stage, workers=0)
    group = f"{stage.name}-more"
    await stage.create(DASKWORKERGROUP, {"cluster": stage.name, "worker": worker_spec(0, real=False)}, group)

    async def is_adopted() -> Any:
        return (await stage.get(DASKWORKERGROUP, group))["metadata"].get("ownerReferences")

    await stage.until("the group is the cluster's", is_adopted)


async def serves(stage: Stage) -> None:
    """An autoscaler becomes its cluster's, and says whom it serves."""
    await comes_up(stage, workers=0)
    await stage.create(DASKAUTOSCALER, {"cluster": stage.name, "minimum": 0, "maximum": 1})

    async def is_served() -> Any:
        owners = (await stage.get(DASKAUTOSCALER, stage.name))["metadata"].get("ownerReferences")
        return owners and (await stage.status(DASKAUTOSCALER)).get("workerGroup")

    await stage.until("the autoscaler is the cluster's and serves its group", is_served)


async def starts_and_serves(stage: Stage) -> None:
    """The operator starts, and an autoscaler serves a group."""
    await starts(stage)
    await serves(stage)


async def job_ends(stage: Stage) -> None:
    """A job gets a cluster, ends well, and its cluster goes."""
    spec = {"job": {"spec": pod_spec("job", ["true"])}, "cluster": {"spec": cluster_spec(stage.name, 0)}}
    await stage.create(DASKJOB, spec)

    async def is_over() -> bool:
        ended = (await stage.status(DASKJOB)).get("jobStatus") == "Successful"
        return ended and not await stage.get(DASKCLUSTER, stage.name)

    await stage.until("the job has ended and its cluster is gone", is_over)


async def job_keeps_scheduler(stage: Stage) -> None:
    """A job that has ended gives its workers back and keeps its scheduler."""
    spec = {"job": {"spec": pod_spec("job", ["true"])}, "cluster": {"spec": cluster_spec(stage.name, 1)}}
    await stage.create(DASKJOB, {**spec, "deletionPolicy": {"onSuccess": "Workers"}})

    async def is_so() -> bool:
        cluster = await stage.get(DASKCLUSTER, stage.name)
        return bool(cluster and cluster["spec"].get("suspendWorkers"))

    await stage.until("the job has ended and its workers are suspended", is_so)


async def job_expires(stage: Stage) -> None:
    """A job goes by itself some time after its end."""
    spec = {"job": {"spec": pod_spec("job", ["true"])}, "cluster": {"spec": cluster_spec(stage.name, 0)}}
    await stage.create(DASKJOB, {**spec, "ttlSecondsAfterFinished": 1})

    async def is_gone() -> bool:
        return not await stage.get(DASKJOB, stage.name)

    await stage.until("the job is gone", is_gone)


async def pod_taken(stage: Stage) -> None:
    """A cluster whose scheduler Pod's name is taken says so."""
    await stage.create(POD, pod_spec("other", ["sleep", "60"]), names.scheduler(stage.name))
    await _says_taken(stage)


async def service_taken(stage: Stage) -> None:
    """A cluster whose Service's name is taken says so."""
    await stage.create(SERVICE, {"ports": [{"port": 80}]}, names.scheduler(stage.name))
    await _says_taken(stage)


async def cluster_taken(stage: Stage) -> None:
    """A job whose cluster's name is taken says so."""
    await stage.create(DASKCLUSTER, cluster_spec(stage.name, 0))
    spec = {"job": {"spec": pod_spec("job", ["true"])}, "cluster": {"spec": cluster_spec(stage.name, 0)}}
    await stage.create(DASKJOB, spec)
    await stage.until("the job says that the name is taken", lambda: _is_taken(stage, DASKJOB))


async def _says_taken(stage: Stage) -> None:
    await stage.create(DASKCLUSTER, cluster_spec(stage.name, 0))
    await stage.until("the cluster says that the name is taken", lambda: _is_taken(stage, DASKCLUSTER))


async def _is_taken(stage: Stage, resource: Resource, type_: str = "Accepted") -> bool:
    conditions = (await stage.status(resource)).get("conditions") or []
    return any(one["type"] == type_ and one["reason"] == "NameTaken" for one in conditions)


def pod_spec(name: str, command: list[str], **container: Any) -> Manifest:
    """Make a Pod of one container, which ends at once when it is told to."""
    made = {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "args": command, **container}
    return {"terminationGracePeriodSeconds": 1, "containers": [made]}


def worker_spec(replicas: int, *, real: bool) -> Manifest:
    """Make a group's workers; where nobody talks to them, of the cheapest kind."""
    command = ["dask", "worker", "--name", "$(DASK_WORKER_NAME)"] if real else ["sleep", "600"]
    return {"replicas": replicas, "spec": pod_spec("worker", command)}


def cluster_spec(name: str, workers: int, *, real: bool = False) -> Manifest:
    """Make the specification of a cluster; where nobody talks to it, of the cheapest kind."""
    command = ["dask", "scheduler"] if real else ["sleep", "600"]
    ports = [{"name": "tcp-comm", "containerPort": 8786}, {"name": "http-dashboard", "containerPort": 8787}]
    probe = {"readinessProbe": {"tcpSocket": {"port": 8786}, "periodSeconds": 1}} if real else {}
    service = {
        "type": "ClusterIP",
        "selector": labels.of_scheduler(name),
        "ports": [{"name": "tcp-comm", "port": 8786, "targetPort": "tcp-comm"}],
    }
    return {
        "worker": worker_spec(workers, real=real),
        "scheduler": {"spec": pod_spec("scheduler", command, ports=ports, **probe), "service": service},
    }


Story = Callable[[Stage], Awaitable[None]]

STORIES: dict[tuple[str, str], Story] = {
    # (resource, verb): the story that fails without this right
    ("daskclusters", "create"): job_ends,
    ("daskclusters", "delete"): job_ends,
    ("daskclusters", "get"): cluster_taken,
    ("daskclusters", "list"): starts,
    ("daskclusters", "patch"): job_keeps_scheduler,
    ("daskclusters", "watch"): starts_and_comes_up,
    ("daskclusters/finalizers", "update"): comes_up,
    ("daskclusters/status", "patch"): comes_up,
    ("daskworkergroups", "create"): comes_up,
    ("daskworkergroups", "delete"): adopts,
    ("daskworkergroups", "list"): starts,
    ("daskworkergroups", "patch"): shrinks,
    ("daskworkergroups", "watch"): starts_and_comes_up,
    ("daskworkergroups/finalizers", "update"): comes_up,
    ("daskworkergroups/status", "patch"): comes_up,
    ("daskjobs", "delete"): job_expires,
    ("daskjobs", "list"): starts,
    ("daskjobs", "watch"): starts_and_ends_job,
    ("daskjobs/finalizers", "update"): job_ends,
    ("daskjobs/status", "patch"): job_ends,
    ("daskautoscalers", "delete"): serves,
    ("daskautoscalers", "list"): starts,
    ("daskautoscalers", "patch"): serves,
    ("daskautoscalers", "watch"): starts_and_serves,
    ("daskautoscalers/status", "patch"): serves,
    ("pods", "create"): comes_up,
    ("pods", "delete"): shrinks,
    ("pods", "get"): pod_taken,
    ("pods", "list"): starts,
    ("pods", "patch"): shrinks,
    ("pods", "watch"): starts_and_comes_up,
    ("services", "create"): comes_up,
    ("services", "get"): service_taken,
    ("services", "list"): starts,
    ("services", "patch"): changes_service,
    ("services", "watch"): starts_and_mends,
    ("leases", "get"): expires,
    ("poddisruptionbudgets", "create"): is_protected,
    ("poddisruptionbudgets", "delete"): is_unprotected,
    ("poddisruptionbudgets", "get"): budget_taken,
    ("poddisruptionbudgets", "list"): starts,
    ("poddisruptionbudgets", "watch"): starts_and_protects_again,
    ("networkpolicies", "create"): closes,
    ("networkpolicies", "delete"): opens,
    ("networkpolicies", "get"): policy_taken,
    ("networkpolicies", "list"): starts,
    ("networkpolicies", "patch"): lets_in,
    ("networkpolicies", "watch"): starts_and_closes_again,
    ("secrets", "create"): is_secured,
    ("secrets", "get"): is_secured,
    ("secrets", "patch"): renews,
    ("events", "create"): tells,
    ("nodes", "list"): starts_and_replaces,
    ("nodes", "watch"): starts_and_replaces,
}

UNSEEN = {
    ("daskjobs", "get"): "the garbage collector deletes the parts of a job too, only later",
    ("services", "delete"): "the garbage collector deletes Services too, only later",
    ("daskworkergroups", "get"): "asked for only where a group was made and the answer got lost",
}
"""Rights that no story shows, and why they are needed all the same."""
