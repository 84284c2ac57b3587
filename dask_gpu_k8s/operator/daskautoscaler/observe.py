"""DaskAutoscaler: whom it serves, and how many workers the work there is asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.holds import holds
from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.autoscalers import group_of, server_of
from dask_gpu_k8s.operator.daskautoscaler.offer import offer_of
from dask_gpu_k8s.operator.daskautoscaler.share import Member, unserved, wishes
from dask_gpu_k8s.operator.engine.demand import Demand
from dask_gpu_k8s.operator.engine.facts import Key, SchedulerUnreachable, World
from dask_gpu_k8s.operator.objects.workers import replicas_of
from dask_gpu_k8s.operator.pods import is_finished, is_marked, is_owned_by, is_ready, is_terminating
from dask_gpu_k8s.operator.upstream.marks import is_foreign
from dask_gpu_k8s.operator.upstream.scheduler import scheduler_pod
from dask_gpu_k8s.operator.workergroup.observe import scheduler_at

UP_WINDOW, DOWN_WINDOW = 0.0, 60.0
"""Seconds of the stabilisation windows where an autoscaler does not say."""


FROZEN = "Frozen"
"""Reason to do nothing while somebody keeps the cluster's workers as they are."""


@dataclass(frozen=True)
class Problem:
    """Why an autoscaler does nothing.

    Attributes
    ----------
    reason, message : str
        For the condition.
    passes : bool
        Whether it may be over without anything in Kubernetes changing.
    """

    reason: str
    message: str
    passes: bool = False


@dataclass(frozen=True)
class Wish:
    """How many workers the work asks for.

    Attributes
    ----------
    lowest, highest : int
        Within the window for growing, and within the one for shrinking.
    is_told : bool
        Whether the scheduler says who has work for whom; else it is Dask's adaptive target.
    unserved : tuple of str
        What tasks need and no group of the cluster offers.
    """

    lowest: int
    highest: int
    is_told: bool = True
    unserved: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """An autoscaler and what it decides by.

    Attributes
    ----------
    autoscaler : Manifest
    cluster, group : Manifest, optional
        ``None`` if there is none of that name or, of a cluster, if it is being deleted.
    problem : Problem, optional
        Why nothing is to be done.
    wish : Wish, optional
        ``None`` if there is a problem.
    leaving : int
        Workers of the group that hand over their data before they go.
    """

    autoscaler: Manifest
    cluster: Manifest | None = None
    group: Manifest | None = None
    problem: Problem | None = None
    wish: Wish | None = None
    leaving: int = 0

    @property
    def current(self) -> int:
        """How many workers the group is to have so far."""
        decided = (self.autoscaler.get("status") or {}).get("desiredReplicas")
        if decided is not None:
            return int(decided)
        return replicas_of(self.group) if self.group else 0

    @property
    def is_stuck(self) -> bool:
        """Whether the group has workers whose data nobody can take."""
        return bool(told(self.group, "ScalingDown").get("reason") == "DataCannotMove")


async def observe(key: Key, world: World) -> Observed | None:
    """Look at an autoscaler; ask the scheduler if it serves a group."""
    autoscaler = world.cache.get(DASKAUTOSCALER, key.namespace, key.name)
    if autoscaler is None:
        world.wishes.forget(key)
        return None
    cluster = world.cache.get(DASKCLUSTER, key.namespace, autoscaler["spec"]["cluster"])
    if cluster is not None and is_foreign(cluster):
        return None
    if cluster is None or is_terminating(cluster):
        return Observed(autoscaler, problem=_without_cluster(autoscaler))
    siblings = world.cache.autoscalers_of(key.namespace, cluster["metadata"]["name"])
    group = world.cache.get(DASKWORKERGROUP, key.namespace, group_of(autoscaler))
    seen = Observed(autoscaler, cluster, group)
    wrong = problem(seen, siblings) or _hold(cluster, world)
    if wrong or group is None:
        return replace(seen, problem=wrong)
    try:
        demand = await _demand(cluster, world)
    except SchedulerUnreachable as error:
        message = f"The number of workers stays as it is, because the scheduler does not answer: {error}"
        return replace(seen, problem=Problem("SchedulerUnreachable", message, passes=True))
    groups = members(cluster, siblings, world)
    wish = _wish(seen, demand, groups)
    if wish is None:
        return replace(seen, problem=Problem("DemandUnknown", _UNKNOWN, passes=True))
    spec = autoscaler["spec"]
    up, down = _window(spec.get("scaleUp"), UP_WINDOW), _window(spec.get("scaleDown"), DOWN_WINDOW)
    world.wishes.note(key, wish, seen.current, max(up, down))
    pods = world.cache.owned(POD, key.namespace, group["metadata"]["uid"])
    return replace(
        seen,
        wish=Wish(
            world.wishes.lowest(key, up),
            world.wishes.highest(key, down),
            is_told=demand.target is None,
            unserved=tuple(unserved(demand, groups)),
        ),
        leaving=sum(is_marked(pod) and not is_finished(pod) and not is_terminating(pod) for pod in pods),
    )


_UNKNOWN = (
    "Its scheduler does not say which tasks are for which workers, so that only the default group can be "
    "served. It says so if the operator's preload runs in it, as it does in schedulers made by this operator "
    "with a Dask of 2025.2 or newer."
)


def problem(seen: Observed, siblings: Sequence[Manifest]) -> Problem | None:
    """Say why an autoscaler does nothing, as far as Kubernetes knows."""
    spec = seen.autoscaler["spec"]
    wanted = group_of(seen.autoscaler)
    if spec["minimum"] > spec["maximum"]:
        return Problem(
            "BoundsInvalid", f"spec.minimum, {spec['minimum']}, is more than spec.maximum, {spec['maximum']}."
        )
    if seen.group is None or is_terminating(seen.group):
        return Problem("WorkerGroupNotFound", f"There is no DaskWorkerGroup {wanted!r} in this namespace.")
    owner = seen.group["spec"]["cluster"]
    if owner != spec["cluster"]:
        return Problem("OtherCluster", f"DaskWorkerGroup {wanted!r} is of DaskCluster {owner!r}.")
    server = server_of(seen.group, siblings)
    if server is not None and server["metadata"]["name"] != seen.autoscaler["metadata"]["name"]:
        other = server["metadata"]["name"]
        message = f"DaskAutoscaler {other!r} is older and serves {wanted!r} already. Delete one of the two."
        return Problem("AnotherAutoscaler", message)
    cluster_spec = (seen.cluster or {}).get("spec") or {}
    if cluster_spec.get("suspend") or cluster_spec.get("suspendWorkers"):
        return Problem("Suspended", "The cluster is suspended.")
    return None


def _hold(cluster: Manifest, world: World) -> Problem | None:
    holders = ", ".join(sorted(holds(cluster, world.now())))
    if not holders:
        return None
    return Problem(FROZEN, f"The workers are kept as they are by {holders} (annotations of the cluster).")


def members(cluster: Manifest, siblings: Sequence[Manifest], world: World) -> list[Member]:
    """Describe all worker groups of a cluster."""
    meta = cluster["metadata"]
    found = []
    for group in world.cache.groups_of(meta["namespace"], meta["name"]):
        if is_terminating(group):
            continue
        server = server_of(group, siblings)
        spec = server["spec"] if server else {}
        replicas = replicas_of(group)
        bounds = (spec.get("minimum", replicas), spec.get("maximum", replicas))
        offer = offer_of(group, spec.get("resources"))
        found.append(Member(group["metadata"]["name"], offer, *bounds, priority=spec.get("priority", 0)))
    return found


def _without_cluster(autoscaler: Manifest) -> Problem:
    name = autoscaler["spec"]["cluster"]
    return Problem("ClusterNotFound", f"There is no DaskCluster {name!r} in this namespace.")


async def _demand(cluster: Manifest, world: World) -> Demand:
    meta = cluster["metadata"]
    pod = scheduler_pod(cluster, world.cache)
    scheduler = scheduler_at(cluster, world)
    if pod is None or scheduler is None or not is_ready(pod) or not is_owned_by(pod, meta["uid"]):
        raise SchedulerUnreachable("its Pod is not ready")
    return await world.demand(scheduler)


def _wish(seen: Observed, demand: Demand, groups: list[Member]) -> int | None:
    assert seen.cluster is not None
    name = group_of(seen.autoscaler)
    if demand.target is not None:
        is_default = name == names.worker_group(seen.cluster["metadata"]["name"])
        return demand.target if is_default else None
    wish = wishes(demand, groups)[name]
    if len(groups) > 1 and "" in demand.groups:
        # Somebody's workers are not named after their Pods: it cannot be told who is idle.
        return max(wish, seen.current)
    return wish


def _window(scaling: Manifest | None, default: float) -> float:
    return float((scaling or {}).get("stabilizationWindowSeconds", default))
