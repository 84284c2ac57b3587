"""Watches: where they begin, what they show, how they end."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from dask_gpu_k8s.api.resources import CONFIGMAP, POD, Resource
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Gone, Invalid, ServerError
from tests.integration.api_server.conftest import Ask, World, path_of
from tests.integration.api_server.gadgets import config_map, gadget, pod


async def take(kube: KubeClient, resource: Resource, count: int, **how: Any) -> list[dict]:
    """Return the first events of a watch that are no bookmarks."""
    found: list[dict] = []
    async with contextlib.aclosing(kube.watch(resource, timeout_seconds=30, **how)) as events:
        async for event in events:
            if event["type"] != "BOOKMARK":
                found.append(event)
            if len(found) == count:
                return found
    return found


async def test_without_a_version_the_present_comes_first(world: World, kube: KubeClient, name: str) -> None:
    await kube.create(CONFIGMAP, config_map(name, labels={"app": name}))
    await kube.create(CONFIGMAP, config_map(f"{name}-2", labels={"app": name}))
    path = f"{path_of(world, CONFIGMAP)}?watch=1&timeoutSeconds=1&labelSelector=app%3D{name}"
    async with kube._transport.stream("GET", path, "watch") as response:
        events = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [event["type"] for event in events] == ["ADDED", "ADDED"]
    assert events[0]["object"]["kind"] == "ConfigMap"
    assert events[0]["object"]["apiVersion"] == "v1"


async def test_from_a_version_every_change_comes_in_order(
    kube: KubeClient, gadgets: Resource, name: str
) -> None:
    version = (await kube.list(gadgets))["metadata"]["resourceVersion"]
    await kube.create(gadgets, gadget(gadgets, name))
    await kube.patch(gadgets, name, {"spec": {"size": 2}})
    await kube.patch(gadgets, name, {"status": {"size": 2}}, sub="status")
    await kube.delete(gadgets, name)
    fields = {"metadata.name": name}
    events = await take(kube, gadgets, 4, fields=fields, resource_version=version)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)
    assert events[3]["object"]["status"] == {"size": 2}
    later = await take(kube, gadgets, 2, fields=fields, resource_version=str(versions[1]))
    assert later == events[2:]


async def test_an_object_enters_and_leaves_a_selection(kube: KubeClient, name: str) -> None:
    made = await kube.create(CONFIGMAP, config_map(name))
    await kube.patch(CONFIGMAP, name, {"metadata": {"labels": {"app": name}}})
    await kube.patch(CONFIGMAP, name, {"data": {"a": "2"}})
    await kube.patch(CONFIGMAP, name, {"metadata": {"labels": {"app": "other"}}})
    await kube.patch(CONFIGMAP, name, {"data": {"a": "3"}})
    version = made["metadata"]["resourceVersion"]
    events = await take(kube, CONFIGMAP, 3, labels={"app": name}, resource_version=version)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_version_that_is_too_old_is_gone(kube: KubeClient, gadgets: Resource) -> None:
    # A kind that is younger than the server: the beginning of Pods may be in the memory of a young server.
    with pytest.raises(Gone) as caught:
        await take(kube, gadgets, 1, resource_version="1")
    assert caught.value.reason == "Expired"
    assert caught.value.message.startswith("too old resource version: 1 (")


async def test_the_server_ends_it_with_a_bookmark(world: World, kube: KubeClient, name: str) -> None:
    made = await kube.create(CONFIGMAP, config_map(name))
    version = made["metadata"]["resourceVersion"]
    fields = {"metadata.name": name}
    found = []
    watch = kube.watch(CONFIGMAP, fields=fields, resource_version=version, timeout_seconds=4)
    async with contextlib.aclosing(watch) as events:
        async for event in events:
            found.append(event)
    if world.real and not found:
        return  # a real one sends none in so short a time
    assert [event["type"] for event in found[-1:]] == ["BOOKMARK"]
    bookmark = found[-1]["object"]
    assert bookmark["kind"] == "ConfigMap"
    assert int(bookmark["metadata"]["resourceVersion"]) >= int(version)


async def test_initial_events_end_with_a_mark_or_are_refused(
    world: World, kube: KubeClient, ask: Ask, name: str
) -> None:
    await kube.create(CONFIGMAP, config_map(name, labels={"app": name}))
    query = (
        f"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        f"&timeoutSeconds=1&labelSelector=app%3D{name}"
    )
    try:
        async with kube._transport.stream("GET", path_of(world, CONFIGMAP) + query, "watch") as response:
            text = await response.text()
    except Invalid as refusal:
        text = refusal.message
    # Older releases do not have it, and etcd before 3.4.25 makes newer ones refuse it.
    if world.real and any(
        reason in text for reason in ("WatchList feature gate", "RequestWatchProgress is disabled")
    ):
        return
    lines = text.splitlines()
    assert '"type":"ADDED"' in lines[0]
    assert '"k8s.io/initial-events-end":"true"' in lines[1]


async def test_a_watch_of_tables(world: World, kube: KubeClient, name: str) -> None:
    await kube.create(POD, pod(name))
    # From any version on: the newest may not have come yet to a server that has much to do.
    query = f"?watch=1&resourceVersion=0&timeoutSeconds=30&fieldSelector=metadata.name%3D{name}"
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    path = path_of(world, POD) + query
    async with kube._transport.stream("GET", path, "watch", headers=headers) as response:
        first = (await response.content.readline()).decode()
    assert '"kind":"Table"' in first
    assert f'"{name}","0/1","Pending"' in first


async def test_a_version_from_the_future_has_to_wait(world: World, ask: Ask) -> None:
    with pytest.raises(ServerError, match="Too large resource version"):
        await ask("GET", path_of(world, CONFIGMAP) + "?resourceVersion=99999999999")
