"""The client against an API server that refuses, stalls, breaks off and asks for patience."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from aiohttp import web

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube import errors, session
from dask_gpu_k8s.kube.client import READ_ATTEMPTS, KubeClient

from .scripted import kubeconfig, listing, pod, serve, status


async def test_what_is_sent():
    seen = []

    async def handler(request):
        seen.append((request.method, request.path_qs, await request.text()))
        assert request.headers["Authorization"] == "Bearer t"
        assert request.headers["User-Agent"].startswith("dask-gpu-k8s/")
        return web.json_response({"kind": "Pod"})

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        manifest = {"metadata": {"name": "p"}}
        await kube.create(POD, manifest)
        await kube.create(POD, manifest, "other", strict=False)
        await kube.replace(POD, {"metadata": {"name": "p", "namespace": "n"}}, sub="status")
        await kube.patch(POD, "p", {"a": None})
        await kube.delete(POD, "p")
        await kube.delete(POD, "p", uid="u", resource_version="7", grace_seconds=0, propagation="Orphan")
    assert seen[0] == (
        "POST",
        "/api/v1/namespaces/default/pods?fieldValidation=Strict",
        json.dumps(manifest, separators=(",", ":")),
    )
    assert seen[1][1] == "/api/v1/namespaces/other/pods"
    assert seen[2][:2] == ("PUT", "/api/v1/namespaces/n/pods/p/status?fieldValidation=Strict")
    assert seen[3][2] == '{"a":null}'
    assert seen[4] == ("DELETE", "/api/v1/namespaces/default/pods/p", "")
    assert json.loads(seen[5][2]) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Orphan",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }


async def test_a_list_joins_its_pages():
    async def handler(request):
        page = int(request.query.get("continue", 0))
        return listing("9", pod(str(page), "1"), more=str(page + 1) if page < 2 else "")

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        found = await kube.list(POD)
    assert [item["metadata"]["name"] for item in found["items"]] == ["0", "1", "2"]
    assert found["items"][0]["kind"] == "Pod"
    assert found["metadata"] == {"resourceVersion": "9"}


async def test_a_list_whose_pages_expired_is_taken_at_once():
    async def handler(request):
        if "continue" in request.query:
            return status(410, "Expired")
        if "limit" in request.query:
            return listing("1", pod("old", "1"), more="token")
        return listing("2", pod("a", "1"), pod("b", "2"))

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        found = await kube.list(POD)
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "b"]


@pytest.mark.parametrize("fault", [500, 503, "cut"])
async def test_reads_are_tried_again_and_writes_are_not(fault):
    calls = []

    async def handler(request):
        calls.append(request.method)
        if request.method == "GET" and calls.count("GET") == 3:
            return web.json_response(pod("p", "1"))
        if fault == "cut":
            request.transport.abort()
            return web.Response()
        return status(fault, "Broken")

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        assert (await kube.get(POD, "p"))["metadata"]["name"] == "p"
        with pytest.raises((errors.ServerError, errors.Unreachable)):
            await kube.create(POD, pod("p", "1"))
    # aiohttp itself repeats an idempotent request on a connection that it finds closed.
    assert 3 <= calls.count("GET") <= 5
    assert calls.count("POST") == 1


async def test_a_read_is_not_tried_for_ever():
    calls = []

    async def handler(request):
        calls.append(request)
        return status(500, "InternalError")

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        with pytest.raises(errors.ServerError):
            await kube.get(POD, "p")
    assert len(calls) == READ_ATTEMPTS


async def test_a_busy_server_is_asked_again_when_it_says_so():
    times = []

    async def handler(request):
        times.append(time.monotonic())
        if len(times) == 1:
            return status(429, "TooManyRequests", **{"Retry-After": "1"})
        return web.json_response({})

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        await kube.create(POD, pod("p", "1"))
    assert times[1] - times[0] >= 1


async def test_a_refusal_without_a_time_is_not_tried_again():
    async def handler(request):
        return status(429, "TooManyRequests")

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        with pytest.raises(errors.TooManyRequests):
            await kube.create(POD, pod("p", "1"))


async def test_no_server():
    async with KubeClient.connect(kubeconfig("http://127.0.0.1:9")) as kube:
        with pytest.raises(errors.Unreachable, match="post pods in default: "):
            await kube.create(POD, pod("p", "1"))


async def test_an_answer_that_is_not_from_kubernetes():
    async def handler(request):
        return web.Response(text="<html>", status=200 if request.method == "POST" else 403)

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        with pytest.raises(errors.Unreachable, match="did not answer with JSON"):
            await kube.create(POD, pod("p", "1"))
        with pytest.raises(errors.Forbidden, match="<html>"):
            await kube.get(POD, "p")


async def test_a_refusal_that_comes_in_pieces():
    async def refuse(request):
        answer = web.StreamResponse(status=422)
        await answer.prepare(request)
        for piece in (b'{"kind": "Status", "reason": "Invalid", ', b'"message": "too ', b'long"}'):
            await answer.write(piece)
            await asyncio.sleep(0.05)
        return answer

    async with serve(refuse) as config, KubeClient.connect(config) as kube:
        with pytest.raises(errors.Invalid) as caught:
            await kube.create(POD, pod("a", "1"))
    assert (caught.value.reason, caught.value.message) == ("Invalid", "too long")


async def test_a_server_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(session, "ANSWER_SECONDS", 0.2)

    async def handler(request):
        await asyncio.sleep(5)
        return web.Response()

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        with pytest.raises(errors.Unreachable, match="no answer in time"):
            await kube.create(POD, pod("p", "1"))


async def test_a_refused_websocket_says_why():
    async def handler(request):
        return status(403, "Forbidden") if request.path.endswith("portforward") else web.Response()

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        with pytest.raises(errors.Forbidden, match="connect to pods/portforward default/p: scripted"):
            await kube.websocket(POD, "p", None, "portforward", {"ports": 80}, ["v4.channel.k8s.io"])
        with pytest.raises(errors.Unreachable, match="instead of opening a WebSocket"):
            await kube.websocket(POD, "p", None, "other", {}, ["v4.channel.k8s.io"])


async def test_a_websocket_outlives_the_time_limit_of_requests(monkeypatch):
    monkeypatch.setattr(session, "ANSWER_SECONDS", 2.0)

    async def handler(request):
        socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await socket.prepare(request)
        await asyncio.sleep(2.5)
        await socket.send_bytes(b"late")
        return socket

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        socket = await kube.websocket(POD, "p", None, "portforward", {"ports": 80}, ["v4.channel.k8s.io"])
        assert (await socket.receive_bytes()) == b"late"
        await socket.close()


async def test_requests_beyond_the_limit_wait(monkeypatch):
    running = most = 0
    is_full = asyncio.Event()

    async def handler(request):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 50:
            is_full.set()
        await is_full.wait()
        await asyncio.sleep(0.05)  # time for one too many
        running -= 1
        return web.json_response({})

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        await asyncio.gather(*(kube.get(POD, f"p{index}") for index in range(120)))
    assert most == 50


@pytest.mark.parametrize(("ahead", "counts"), [(3600, True), (-3600, True), (1, False)])
async def test_the_time_of_day_is_the_servers_where_its_clock_differs(ahead, counts):
    async def handler(request):
        then = datetime.now(timezone.utc) + timedelta(seconds=ahead)
        return web.json_response({}, headers={"Date": format_datetime(then, usegmt=True)})

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        ours = datetime.now(timezone.utc)
        assert kube.now() - ours < timedelta(seconds=60), "nobody has answered yet"
        await kube.get(POD, "p")
        expected = ours + timedelta(seconds=ahead if counts else 0)
        assert abs(kube.now() - expected) < timedelta(seconds=60)
