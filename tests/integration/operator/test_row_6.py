"""Row 6 against a real server: clusters of few names come and go 500 times, and what is left is whole."""

from __future__ import annotations

import asyncio
import random

from dask_gpu_k8s.api.resources import BUDGET, DASKCLUSTER, DASKWORKERGROUP, POD, SERVICE
from dask_gpu_k8s.kube.client import KubeClient
from tests.integration.operator.conftest import a_cluster, eventually, running

NAMES = 10
LIVES = 50


async def test_row_6_created_and_deleted_500_times_on_a_server(kube):
    async with running(kube):
        await asyncio.gather(*(_many_lives(kube, number) for number in range(NAMES)))
        await eventually(lambda: _whole(kube), 60)


PARTS = {DASKCLUSTER: 1, DASKWORKERGROUP: 1, POD: 3, SERVICE: 2, BUDGET: 1}


async def _many_lives(kube: KubeClient, number: int) -> None:
    """Make and delete a cluster over and over, each time at another point of its making."""
    rng = random.Random(number)
    name = f"c{number}"
    for _ in range(LIVES):
        await kube.create(DASKCLUSTER, a_cluster(name, 2))
        await asyncio.sleep(rng.choice([0, 0, 0.01, 0.05, 0.2]))
        await kube.delete(DASKCLUSTER, name)
    await kube.create(DASKCLUSTER, a_cluster(name, 2))


async def _whole(kube: KubeClient) -> bool:
    """Every cluster says that it has all, and of earlier ones nothing is left"""
    clusters = (await kube.list(DASKCLUSTER))["items"]
    for cluster in clusters:
        status = cluster.get("status") or {}
        if (status.get("phase"), status.get("replicas")) != ("Pending", 2):
            return False
    groups = (await kube.list(DASKWORKERGROUP))["items"]
    owners = {obj["metadata"]["uid"] for obj in (*clusters, *groups)}
    found: dict[str, int] = {}
    for resource in PARTS:
        items = (await kube.list(resource))["items"]
        found[resource.plural] = len(items)
        for item in items:
            if not owners.issuperset(each["uid"] for each in item["metadata"].get("ownerReferences") or ()):
                return False
    return found == {resource.plural: NAMES * number for resource, number in PARTS.items()}
