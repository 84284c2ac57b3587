"""Whatever past of each object the operator sees, a job's end is final, and all ends as it should be."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKJOB, POD, Resource
from dask_gpu_k8s.operator.daskjob.observe import observe
from dask_gpu_k8s.operator.daskjob.plan import plan
from dask_gpu_k8s.operator.daskjob.progress import progress
from dask_gpu_k8s.operator.daskjob.status import conclude
from dask_gpu_k8s.operator.engine.actions import Action, Create, Delete, Outcome, Patch
from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.engine.reporter import difference
from dask_gpu_k8s.operator.objects.jobs import make_job_cluster, make_runner_pod
from tests.unit.operator.builders import NOW, a_job

KEY = Key(DASKJOB.kind, "ns", "foo")
JOB, CLUSTER, RUNNER = (DASKJOB, "foo"), (DASKCLUSTER, "foo"), (POD, "foo-runner")
Id = tuple[Resource, str]


class Server:
    """The three objects of a job, with all that they ever were; and what a lagging cache shows of them."""

    def __init__(self) -> None:
        self.versions: dict[Id, list[dict[str, Any] | None]] = {JOB: [None], CLUSTER: [None], RUNNER: [None]}
        self.lags = {JOB: 0, CLUSTER: 0, RUNNER: 0}
        self.writes = 0
        self._count = 0

    def now(self, what: Id) -> dict[str, Any] | None:
        return self.versions[what][-1]

    def put(self, what: Id, obj: dict[str, Any] | None) -> None:
        self._count += 1
        self.writes += 1
        if obj is not None:
            version = {"resourceVersion": str(self._count)}
            obj = {**obj, "metadata": {"uid": f"u{self._count}", **obj["metadata"], **version}}
        self.versions[what].append(obj)

    # What a planner may ask.

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        what = (resource, name)
        if what not in self.versions:
            return None
        seen = self.versions[what]
        return seen[max(0, len(seen) - 1 - self.lags[what])]

    def workers_of(self, namespace: str, cluster: str) -> Sequence[dict[str, Any]]:
        return ()

    @property
    def cache(self) -> Server:
        return self

    async def live(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        return self.now((resource, name))

    def is_beside_another(self) -> bool:
        return False

    def cooling(self, key: Key, resource: Any) -> float:
        return 0.0

    # What the executor does.

    def act(self, action: Action) -> Outcome:
        if isinstance(action, Create):
            what = (action.resource, action.body["metadata"]["name"])
            if self.now(what) is None:
                self.put(what, copy.deepcopy(action.body))
            return Outcome(action, "done")
        assert isinstance(action, (Delete, Patch))
        what = (action.resource, action.name)
        there = self.now(what)
        if isinstance(action, Delete):
            if there is not None and there["metadata"]["uid"] == action.uid:
                self.put(what, None)
            return Outcome(action, "done")
        version = action.patch["metadata"]["resourceVersion"]
        if there is None or there["metadata"]["resourceVersion"] != version:
            return Outcome(action, "again")
        self.put(what, {**there, "spec": {**there["spec"], **action.patch["spec"]}})
        return Outcome(action, "done")


def done(coroutine: Any) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


class PastViews(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.ended: str | None = None
        self.failed = 0
        self.failures = 0
        self.seconds = 0

    @initialize(limit=strategies.integers(0, 2), suspend=strategies.booleans())
    def create(self, limit: int, suspend: bool) -> None:
        job = a_job()
        self.server.put(JOB, {**job, "spec": {**job["spec"], "backoffLimit": limit, "suspend": suspend}})

    @rule(job=strategies.integers(0, 4), cluster=strategies.integers(0, 3), runner=strategies.integers(0, 4))
    def reconcile_on_a_view_of_the_past(self, job: int, cluster: int, runner: int) -> None:
        self.server.lags.update({JOB: job, CLUSTER: cluster, RUNNER: runner})
        self.reconcile()
        self.server.lags.update({JOB: 0, CLUSTER: 0, RUNNER: 0})

    @rule()
    def reconcile(self) -> None:
        server = self.server
        self.seconds += 1
        seen = done(observe(KEY, server))
        if seen is None:
            return
        now = NOW + timedelta(seconds=self.seconds)
        made = plan(seen, now)
        outcomes: list[Outcome] = []
        for stage in made.stages:
            outcomes += [server.act(action) for action in stage]
            if any(each.state != "done" for each in outcomes):
                break
        said = conclude(seen, made, outcomes, now)
        job = server.now(JOB)
        assert job is not None
        if said is None or said.version != job["metadata"]["resourceVersion"]:
            return
        changes = difference(job.get("status") or {}, said.status)
        if changes:
            merged = {**(job.get("status") or {}), **changes}
            server.put(JOB, {**job, "status": {k: v for k, v in merged.items() if v is not None}})

    @precondition(lambda self: self.server.now(RUNNER))
    @rule(phase=strategies.sampled_from(["Pending", "Running", "Succeeded", "Failed"]))
    def the_node_tells_of_the_runner(self, phase: str) -> None:
        runner = self.server.now(RUNNER)
        assert runner is not None
        if (runner.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            self.server.put(RUNNER, {**runner, "status": {"phase": phase}})
            self.failures += phase == "Failed"

    @precondition(lambda self: self.server.now(RUNNER))
    @rule()
    def the_runner_vanishes(self) -> None:
        self.server.put(RUNNER, None)
        self.failures += 1

    @precondition(lambda self: self.server.now(CLUSTER))
    @rule()
    def the_cluster_vanishes(self) -> None:
        self.server.put(CLUSTER, None)

    @rule(value=strategies.booleans())
    def somebody_suspends_or_resumes(self, value: bool) -> None:
        job = self.server.now(JOB)
        assert job is not None
        if job["spec"]["suspend"] != value:
            self.server.put(JOB, {**job, "spec": {**job["spec"], "suspend": value}})

    @invariant()
    def an_end_is_final_and_no_failure_is_forgotten_or_counted_twice(self) -> None:
        job = self.server.now(JOB)
        if job is None:
            return
        status = job.get("status") or {}
        state, failed = status.get("jobStatus"), int(status.get("failed") or 0)
        assert self.ended in (None, state)
        assert self.failed <= failed <= min(self.failed + 1, self.failures)
        assert failed <= job["spec"]["backoffLimit"] + 1
        self.failed = failed
        if state in ("Successful", "Failed"):
            self.ended = state

    def teardown(self) -> None:
        if self.server.now(JOB) is None:
            return
        self.somebody_suspends_or_resumes(False)
        for _ in range(40):
            self.reconcile()
            runner = self.server.now(RUNNER)
            if runner is not None and runner["metadata"]["annotations"][labels.JOB_ATTEMPT]:
                self.the_node_tells_of_the_runner("Succeeded")
            self.an_end_is_final_and_no_failure_is_forgotten_or_counted_twice()
        assert self.ended is not None
        assert self.server.now(CLUSTER) is None
        writes = self.server.writes
        self.reconcile()
        assert self.server.writes == writes


TestPastViews = PastViews.TestCase
TestPastViews.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_runner_that_the_cache_does_not_show_is_not_believed_to_have_vanished():
    server = Server()
    job = a_job(jobStatus="Running")
    server.put(JOB, job)
    server.put(CLUSTER, make_job_cluster(job))
    server.put(RUNNER, {**make_runner_pod(job), "status": {"phase": "Running"}})
    server.lags[RUNNER] = 9
    assert server.get(POD, "ns", "foo-runner") is None
    seen = done(observe(KEY, server))
    assert progress(seen, NOW).state == "Running"
    server.put(RUNNER, None)
    assert progress(done(observe(KEY, server)), NOW).state == "Failed"


def test_a_runner_that_runs_is_not_lost_for_a_cache_that_shows_the_one_before_it():
    state = PastViews()
    state.create(limit=1, suspend=False)
    for phase in ("Failed", "Running"):
        for _ in range(3):
            state.reconcile()
        state.the_node_tells_of_the_runner(phase=phase)
    state.reconcile()
    state.reconcile_on_a_view_of_the_past(cluster=0, job=0, runner=3)
    state.an_end_is_final_and_no_failure_is_forgotten_or_counted_twice()
