"""A cluster of dask-kubernetes' operator: what has to be taken over with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import (
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKWORKERGROUP,
    DEPLOYMENT,
    POD,
    REPLICASET,
    Resource,
)
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.kube.errors import Forbidden
from dask_gpu_k8s.operator.daskjob.observe import job_of
from dask_gpu_k8s.operator.engine.facts import Key, World
from dask_gpu_k8s.operator.pods import is_finished, is_owned_by, is_terminating
from dask_gpu_k8s.operator.upstream.marks import is_marked, is_to_be_adopted


@dataclass(frozen=True)
class Observed:
    """A marked cluster, and if it is to be adopted what there is of it.

    Attributes
    ----------
    cluster : Manifest
    is_wanted : bool
        Whether somebody wants us to take it over.
    trouble : str
        Why it cannot be looked at; empty if it can.
    deployments, replicasets, pods : sequence of Manifest
        Those of its scheduler and workers; Pods only while they live.
    groups, autoscalers : sequence of Manifest
        Those that name it.
    job : Manifest, optional
        The DaskJob that it belongs to.
    """

    cluster: Manifest
    is_wanted: bool = False
    trouble: str = ""
    deployments: Sequence[Manifest] = ()
    replicasets: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    groups: Sequence[Manifest] = ()
    autoscalers: Sequence[Manifest] = ()
    job: Manifest | None = None


async def observe(key: Key, world: World) -> Observed | None:
    """Look at a marked cluster, by the API server's own word: such a thing is done once."""
    cluster = world.cache.get(DASKCLUSTER, key.namespace, key.name)
    if cluster is None or not is_marked(cluster):
        return None
    if not (world.adopts or is_to_be_adopted(cluster)):
        return Observed(cluster)
    if is_terminating(cluster):
        return Observed(cluster, True)
    try:
        return await _look(cluster, world)
    except Forbidden as error:
        return Observed(cluster, True, error.message)


async def _look(cluster: Manifest, world: World) -> Observed:
    meta = cluster["metadata"]

    async def of_cluster(resource: Resource) -> list[Manifest]:
        found = await world.live_list(resource, meta["namespace"], labels.of_cluster(meta["name"]))
        return [obj for obj in found if _component(obj) in (labels.SCHEDULER, labels.WORKER)]

    async def naming_it(resource: Resource) -> list[Manifest]:
        found = await world.live_list(resource, meta["namespace"])
        return [obj for obj in found if obj["spec"]["cluster"] == meta["name"]]

    groups = await naming_it(DASKWORKERGROUP)
    owners = [meta["uid"], *(group["metadata"]["uid"] for group in groups)]
    deployments = [
        each for each in await of_cluster(DEPLOYMENT) if any(is_owned_by(each, uid) for uid in owners)
    ]
    return Observed(
        cluster,
        True,
        deployments=deployments,
        replicasets=[each for each in await of_cluster(REPLICASET) if _is_free_or_of(each, deployments)],
        pods=[each for each in await of_cluster(POD) if not is_terminating(each) and not is_finished(each)],
        groups=groups,
        autoscalers=await naming_it(DASKAUTOSCALER),
        job=job_of(cluster, world.cache),
    )


def _is_free_or_of(replicaset: Manifest, deployments: Sequence[Manifest]) -> bool:
    owners = {owner["uid"] for owner in replicaset["metadata"].get("ownerReferences") or ()}
    return owners <= {deployment["metadata"]["uid"] for deployment in deployments}


def _component(obj: Manifest) -> str | None:
    return (obj["metadata"].get("labels") or {}).get(labels.COMPONENT)
