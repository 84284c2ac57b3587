"""One rule for each answer that an API server can give."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.resources import CONFIGMAP, NAMESPACE, POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden, NotFound, ServerError, Unreachable
from dask_gpu_k8s.operator.engine.actions import Create, Delete, LeavingPod, Outcome, Patch, Plan, Retire
from dask_gpu_k8s.operator.engine.executor import Executor
from dask_gpu_k8s.operator.engine.expectations import Expectations
from dask_gpu_k8s.operator.engine.facts import Key, SchedulerAt, SchedulerUnreachable
from dask_gpu_k8s.operator.schedulers.api import RetireAnswer

KEY = Key("DaskWorkerGroup", "ns", "foo")


class Retirer:
    """Answers as a test says."""

    answer: RetireAnswer | SchedulerUnreachable = RetireAnswer()

    async def retire(self, scheduler: SchedulerAt, addresses: Any, **others: Any) -> RetireAnswer:
        if isinstance(self.answer, SchedulerUnreachable):
            raise self.answer
        return self.answer


@pytest.fixture
def retirer() -> Retirer:
    return Retirer()


@pytest.fixture
def expectations() -> Expectations:
    return Expectations(timeout=10)


@pytest.fixture
def executor(kube: KubeClient, retirer: Retirer, expectations: Expectations) -> Executor:
    return Executor(kube, retirer, expectations)


def a_map(kube: KubeClient, name: str, owner: dict[str, Any] | None = None) -> dict[str, Any]:
    owners = []
    if owner:
        meta = owner["metadata"]
        identity = {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"]}
        owners = [{**identity, "controller": True}]
    metadata = {"name": name, "namespace": kube.namespace, "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}


def a_pod(kube: KubeClient, name: str) -> dict[str, Any]:
    spec = {"nodeSelector": {"x": "nowhere"}, "containers": [{"name": "c", "image": "any"}]}
    metadata = {"name": name, "namespace": kube.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def act(executor: Executor, *stages: list[Any]) -> list[Outcome]:
    return await executor.act(KEY, Plan(tuple(tuple(stage) for stage in stages)))


async def do(executor: Executor, action: Any) -> Outcome:
    (outcome,) = await act(executor, [action])
    return outcome


async def test_a_create_done_twice_is_done(kube, executor):
    owner = await kube.create(CONFIGMAP, a_map(kube, "owner"))
    create = Create(CONFIGMAP, a_map(kube, "child", owner))
    assert [(await do(executor, create)).state for _ in range(2)] == ["done", "done"]


async def test_a_name_that_a_stranger_has_is_refused_with_a_sentence(kube, executor):
    owner = await kube.create(CONFIGMAP, a_map(kube, "owner"))
    await kube.create(CONFIGMAP, a_map(kube, "child"))
    outcome = await do(executor, Create(CONFIGMAP, a_map(kube, "child", owner)))
    assert (outcome.state, outcome.reason) == ("refused", "NameTaken")
    assert outcome.message == "ConfigMap 'child' exists already and belongs to somebody else."


async def test_a_name_that_an_earlier_owner_of_this_name_left_is_waited_for(kube, executor):
    earlier = await kube.create(CONFIGMAP, a_map(kube, "owner"))
    await kube.create(CONFIGMAP, a_map(kube, "child", earlier))
    later = {"metadata": {**earlier["metadata"], "uid": "another"}}
    outcome = await do(executor, Create(CONFIGMAP, a_map(kube, "child", later)))
    assert outcome.state == "again"


async def test_what_is_invalid_is_refused_in_the_servers_words(kube, executor):
    pod = a_pod(kube, "x")
    pod["spec"]["containers"] = []
    outcome = await do(executor, Create(POD, pod))
    assert (outcome.state, outcome.reason) == ("refused", "Invalid")
    assert "containers" in outcome.message


async def test_deleting_what_is_gone_is_done(kube, executor):
    made = await kube.create(CONFIGMAP, a_map(kube, "x"))
    delete = Delete(CONFIGMAP, kube.namespace, "x", made["metadata"]["uid"])
    assert [(await do(executor, delete)).state for _ in range(2)] == ["done", "done"]


async def test_another_object_of_the_name_is_not_deleted(kube, executor):
    await kube.create(CONFIGMAP, a_map(kube, "x"))
    outcome = await do(executor, Delete(CONFIGMAP, kube.namespace, "x", "another-uid"))
    assert outcome.state == "again", "the cache is about to show it"
    assert await kube.get(CONFIGMAP, "x")


async def test_what_has_changed_since_it_was_chosen_is_not_deleted(kube, executor):
    made = await kube.create(CONFIGMAP, a_map(kube, "x"))
    await kube.patch(CONFIGMAP, "x", {"data": {"a": "b"}})
    meta = made["metadata"]
    delete = Delete(CONFIGMAP, kube.namespace, "x", meta["uid"], meta["resourceVersion"])
    assert (await do(executor, delete)).state == "again"
    assert await kube.get(CONFIGMAP, "x")


async def test_a_patch_of_an_old_version_means_look_again(kube, executor):
    made = await kube.create(CONFIGMAP, a_map(kube, "x"))
    patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "b"}}
    action = Patch(CONFIGMAP, kube.namespace, "x", patch)
    assert [(await do(executor, action)).state for _ in range(2)] == ["done", "again"]


async def test_a_patch_of_what_is_gone_means_look_again(kube, executor):
    assert (await do(executor, Patch(CONFIGMAP, kube.namespace, "x", {"data": {}}))).state == "again"


async def test_a_stage_that_fails_is_the_last(kube, executor):
    outcomes = await act(
        executor,
        [Patch(CONFIGMAP, kube.namespace, "absent", {"data": {}})],
        [Create(CONFIGMAP, a_map(kube, "x"))],
    )
    assert [outcome.state for outcome in outcomes] == ["again"]
    with pytest.raises(NotFound):
        await kube.get(CONFIGMAP, "x")


@pytest.mark.parametrize(
    "error",
    [
        ServerError(500, "InternalError", "no", {}, "x"),
        Unreachable("reset"),
        ServerError(503, "", "", {}, ""),
    ],
)
async def test_what_the_user_cannot_help_has_failed_and_may_have_taken_effect(
    kube, executor, expectations, monkeypatch, error
):
    async def request(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(kube, "request", request)
    outcome = await do(executor, Create(POD, a_pod(kube, "x")))
    monkeypatch.undo()
    assert outcome.state == "failed"
    assert expectations.is_open(KEY)


async def test_changes_of_pods_are_expected_until_refused(kube, executor, expectations):
    assert (await do(executor, Create(POD, a_pod(kube, "x")))).state == "done"
    assert expectations.is_open(KEY)
    expectations.shown(None, await kube.get(POD, "x"))
    assert not expectations.is_open(KEY)
    bad = a_pod(kube, "bad")
    bad["spec"]["containers"] = []
    assert (await do(executor, Create(POD, bad))).state == "refused"
    assert not expectations.is_open(KEY)


async def leaving(kube: KubeClient, name: str, *addresses: str) -> LeavingPod:
    made = await kube.create(POD, a_pod(kube, name))
    return LeavingPod(name, made["metadata"]["uid"], addresses)


async def test_pods_go_whose_workers_have_all_retired(kube, executor, retirer):
    scheduler = SchedulerAt(kube.namespace, "foo", "foo-scheduler", "u", "127.0.0.1", 1, 1)
    pods = (
        await leaving(kube, "free", "a"),
        await leaving(kube, "half", "b", "c"),
        await leaving(kube, "moving", "d", "e"),
        await leaving(kube, "forced", "f"),
    )
    retirer.answer = RetireAnswer(frozenset("abd"), frozenset("cf"), frozenset("e"))
    first, *deletes = await act(executor, [Retire(scheduler, pods, frozenset({"forced"}))])
    assert (first.kept, first.moving, first.lost) == (("half",), ("moving",), ("forced",))
    assert [(outcome.action.name, outcome.state) for outcome in deletes] == [
        ("free", "done"),
        ("forced", "done"),
    ]
    left = await kube.list(POD)
    assert sorted(pod["metadata"]["name"] for pod in left["items"]) == ["half", "moving"]


async def test_without_its_scheduler_no_pod_goes(kube, executor, retirer):
    scheduler = SchedulerAt(kube.namespace, "foo", "foo-scheduler", "u", "127.0.0.1", 1, 1)
    pod = await leaving(kube, "worker", "a")
    retirer.answer = SchedulerUnreachable("refused")
    outcome = await do(executor, Retire(scheduler, (pod,), frozenset({"worker"})))
    assert (outcome.state, outcome.reason) == ("failed", "SchedulerUnreachable")
    assert await kube.get(POD, "worker")


async def test_what_was_done_for_an_object_that_is_refused_is_taken_back(kube, executor):
    await kube.create(CONFIGMAP, a_map(kube, "counter"))
    pod = a_pod(kube, "bad")
    pod["spec"]["containers"] = []
    for held, left in (("1", "0"), ("5", "5")):
        await kube.patch(CONFIGMAP, "counter", {"data": {"n": held}})
        undo = [
            {"op": "test", "path": "/data/n", "value": "1"},
            {"op": "replace", "path": "/data/n", "value": "0"},
        ]
        outcome = await do(executor, Create(POD, pod, Patch(CONFIGMAP, kube.namespace, "counter", undo)))
        assert outcome.state == "refused"
        assert (await kube.get(CONFIGMAP, "counter"))["data"]["n"] == left


async def test_a_kind_that_the_server_has_not_heard_of_yet_is_asked_again_soon(kube, executor, monkeypatch):
    why = "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion x Kind Y"

    async def refuse(*given: Any, **more: Any) -> Any:
        raise Forbidden(403, "Forbidden", why, {}, "create pods")

    monkeypatch.setattr(kube, "create", refuse)
    assert (await do(executor, Create(POD, a_pod(kube, "p")))).state == "failed"


async def test_nothing_is_reported_as_forbidden_in_a_namespace_that_is_being_deleted(kube, executor):
    kept = a_map(kube, "kept")
    kept["metadata"]["finalizers"] = ["example.org/wait"]
    await kube.create(CONFIGMAP, kept)
    await kube.delete(NAMESPACE, kube.namespace)
    outcome = await do(executor, Create(POD, a_pod(kube, "p")))
    assert (outcome.state, outcome.reason) == ("refused", "NamespaceTerminating")
    assert outcome.message == "The namespace is being deleted."


async def test_workers_that_are_still_at_tasks_stay_unless_they_are_in_a_hurry(kube, executor, retirer):
    pods = [await leaving(kube, name, address) for name, address in (("late", "a"), ("early", "b"))]
    retirer.answer = RetireAnswer(busy=frozenset("ab"))
    scheduler = SchedulerAt(kube.namespace, "foo", "foo-scheduler", "u", "127.0.0.1", 1, 1)
    retire = Retire(scheduler, tuple(pods), hurried=frozenset({"late"}))
    first, *deleted = await act(executor, [retire])
    assert first.moving == ("early",)
    assert [outcome.action.name for outcome in deleted] == ["late"]
