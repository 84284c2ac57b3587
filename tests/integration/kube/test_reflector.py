"""The reflector against an API server whose watches end, expire, fall silent and break off."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from aiohttp import web

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden
from dask_gpu_k8s.kube.reflector import Reflector
from dask_gpu_k8s.kube.store import Store

from .scripted import event, listing, pod, serve, status, watching


@pytest.fixture(autouse=True)
def frozen(monkeypatch):
    monkeypatch.setattr(Store, "frozen", True)


class Follower:
    """A reflector at work, and what it was told and asked for."""

    def __init__(self):
        self.changes = []
        self.requests = []
        self._news = asyncio.Event()

    def note(self, old, new):
        self.changes.append(
            tuple(
                obj and f"{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}"
                for obj in (old, new)
            )
        )
        self._news.set()

    async def saw(self, count):
        """Wait until so many changes were told."""
        await self._until(lambda: len(self.changes) >= count)

    async def asked(self, count):
        """Wait until the server was asked so often."""
        await self._until(lambda: len(self.requests) >= count)

    def note_request(self, request):
        self.requests.append(request)
        self._news.set()

    async def _until(self, holds):
        async def wait():
            while not holds():
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), 10)


@contextlib.asynccontextmanager
async def follow(*answers, **options):
    """Follow Pods; each request gets the next answer, the last one again and again."""
    follower = Follower()

    async def handler(request):
        follower.note_request(request)
        answer = answers[min(len(follower.requests), len(answers)) - 1]
        found = answer(request)
        return await found if asyncio.iscoroutine(found) else found

    async with serve(handler) as config, KubeClient.connect(config) as kube:
        follower.reflector = Reflector(kube, POD, on_change=follower.note, **options)
        task = asyncio.create_task(follower.reflector.run())
        try:
            yield follower
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def lists(version, *objects):
    return lambda request: listing(version, *objects)


def watches(*lines, hold=False):
    return lambda request: watching(request, *lines, hold=hold)


async def test_lists_then_follows_without_managed_fields():
    a = pod("a", "1", managedFields=[{"manager": "x"}])
    async with follow(
        lists("5", a),
        watches(
            event("ADDED", pod("b", "6", managedFields=[])),
            event("MODIFIED", pod("a", "7")),
            event("DELETED", pod("b", "8")),
            hold=True,
        ),
    ) as follower:
        await follower.reflector.synced.wait()
        await follower.saw(4)
        assert follower.changes == [(None, "a@1"), (None, "b@6"), ("a@1", "a@7"), ("b@8", None)]
        assert [obj["metadata"]["name"] for obj in follower.reflector.store] == ["a"]
        assert "managedFields" not in follower.reflector.store.get("default", "a")["metadata"]
        assert time.monotonic() - follower.reflector.last_contact < 5
        query = follower.requests[1].query
        assert query["resourceVersion"] == "5"
        assert query["allowWatchBookmarks"] == "true"
        assert 200 < int(query["timeoutSeconds"]) < 500


async def test_a_watch_that_ends_is_resumed_from_its_bookmark_without_a_list():
    bookmark = event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "9"}})
    async with follow(
        lists("5"),
        watches(event("ADDED", pod("a", "6")), bookmark),
        watches(event("ADDED", pod("b", "10")), hold=True),
    ) as follower:
        await follower.saw(2)
        assert [request.query.get("resourceVersion") for request in follower.requests] == [None, "5", "9"]


@pytest.mark.parametrize("as_event", [True, False])
async def test_a_forgotten_version_is_listed_again_and_what_vanished_is_reported(as_event):
    gone = {"kind": "Status", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410}
    refuse = watches(event("ERROR", gone)) if as_event else lambda request: status(410, "Expired")
    async with follow(
        lists("5", pod("stays", "1"), pod("goes", "2")),
        refuse,
        lists("20", pod("stays", "1"), pod("new", "15")),
        watches(hold=True),
    ) as follower:
        await follower.saw(4)
        assert follower.changes[2:] == [("goes@2", None), (None, "new@15")]
        await follower.asked(4)
        assert follower.requests[3].query["resourceVersion"] == "20"


async def test_a_version_from_the_future_of_a_restored_server_is_listed_again():
    body = {
        "kind": "Status",
        "reason": "Timeout",
        "message": "Too large resource version: 50, current: 7",
        "details": {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1},
        "code": 504,
    }
    async with follow(
        lists("50"),
        lambda request: web.json_response(body, status=504),
        lists("7", pod("a", "6")),
        watches(hold=True),
    ) as follower:
        await follower.saw(1)
        assert "watch" not in follower.requests[2].query


async def test_a_cut_in_the_middle_of_an_event_loses_nothing():
    async def cut(request):
        response = await watching(request, event("ADDED", pod("a", "6")), event("ADDED", pod("b", "7"))[:20])
        request.transport.close()
        return response

    async with follow(lists("5"), cut, watches(event("ADDED", pod("b", "7")), hold=True)) as follower:
        await follower.saw(2)
        assert follower.requests[2].query["resourceVersion"] == "6"


async def test_a_silent_connection_counts_as_dead():
    async with follow(
        lists("5"),
        watches(hold=True),
        lists("7", pod("a", "6")),
        watches(hold=True),
        silence_seconds=0.3,
    ) as follower:
        await follower.saw(1)
        assert "watch" not in follower.requests[2].query


async def test_row_9_watches_that_are_accepted_and_bring_nothing_hide_nothing():
    """A proxy may answer for a server that is gone behind it: each new watch would be as dead."""

    def answer(request):
        if "watch" in request.query:
            return watching(request, hold=True)
        return listing("9", pod("a", "6"), pod("b", str(7 + len(follower.requests))))

    async with follow(answer, silence_seconds=0.1) as follower:
        await follower.saw(4)
    assert {name for _, name in follower.changes if name} >= {"a@6", "b@8"}


async def test_a_list_is_taken_anew_after_a_while_though_nothing_seems_wrong():
    """Whatever an event was lost to, its object is looked at again."""
    async with follow(
        lists("5"),
        watches(event("ADDED", pod("a", "6"))),
        lists("8", pod("a", "6"), pod("lost", "7")),
        watches(hold=True),
        relist_seconds=0.0,
    ) as follower:
        await follower.saw(2)
        assert [name for _, name in follower.changes] == ["a@6", "lost@7"]


async def test_what_runs_again_begins_with_a_list():
    async with follow(lists("5"), watches(hold=True)) as follower:
        await follower.asked(2)
        again = asyncio.create_task(follower.reflector.run())
        await follower.asked(3)
        assert "watch" not in follower.requests[2].query
        again.cancel()


async def test_a_kind_of_which_nothing_is_ever_heard_is_not_taken_for_lost():
    """Kubernetes sends no bookmarks for it; that the server answers is news enough."""

    def answer(request):
        return watching(request, hold=True) if "watch" in request.query else listing("5")

    async with follow(answer, silence_seconds=0.1) as follower:
        await follower.asked(3)
        then = time.monotonic()
        await follower.asked(5)
        assert follower.reflector.last_contact > then
        assert follower.reflector.last_error is None


async def test_a_server_that_ends_every_watch_at_once_is_not_stormed():
    async with follow(lists("5"), watches()) as follower:
        await asyncio.sleep(1.0)
        assert len(follower.requests) <= 15
        await follower.asked(3)


async def test_failures_of_any_kind_never_end_it():
    def broken(request):
        request.transport.abort()
        return web.Response()

    async with follow(
        lambda request: status(403, "Forbidden"),
        lambda request: web.Response(text="<html>"),
        lists("5"),
        lambda request: status(500, "InternalError"),
        broken,
        watches(b"no json\n"),
        watches(event("ERROR", {"kind": "Status", "code": 500, "message": "etcd"})),
        watches(event("ADDED", pod("a", "6")), hold=True),
    ) as follower:
        await follower.saw(1)
        assert follower.reflector.last_error is None


async def test_what_keeps_it_from_following_can_be_asked():
    async with follow(lambda request: status(403, "Forbidden")) as follower:
        await follower.asked(2)
        assert isinstance(follower.reflector.last_error, Forbidden)
        assert not follower.reflector.synced.is_set()
        assert follower.reflector.last_contact == float("-inf")


async def test_a_subscriber_that_fails_does_not_stop_the_news(caplog):
    async with follow(
        lists("5", pod("a", "1")), watches(event("ADDED", pod("b", "6")), hold=True)
    ) as follower:
        tell = follower.note

        def fail_once(old, new):
            tell(old, new)
            if len(follower.changes) == 1:
                raise RuntimeError("subscriber's fault")

        follower.reflector._on_change = fail_once
        await follower.saw(2)
    assert "A subscriber to pods failed" in caplog.text


async def test_an_event_of_megabytes():
    big = pod("big", "6", annotations={"x": "y" * 3_000_000})
    async with follow(lists("5"), watches(event("ADDED", big), hold=True)) as follower:
        await follower.saw(1)
        assert follower.reflector.store.get("default", "big") == big
