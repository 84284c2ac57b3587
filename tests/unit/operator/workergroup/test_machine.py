"""A group's planner against a small world: whatever happens in any order, it ends with what was asked for."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.operator.engine.actions import Action, Create, Delete, Patch, Retire
from dask_gpu_k8s.operator.workergroup.plan import plan
from tests.unit.operator.builders import NOW, a_group, a_view, a_worker, ago, facts, name_of


class Group(RuleBasedStateMachine):
    """Pods by index; each action of a plan may be lost, as if the operator had died before it."""

    @initialize(replicas=st.integers(0, 5))
    def begin(self, replicas: int) -> None:
        self.replicas = replicas
        self.counter = 0
        self.pods: dict[int, dict[str, Any]] = {}
        self.made: set[str] = set()

    @rule(replicas=st.integers(0, 5))
    def scale(self, replicas: int) -> None:
        self.replicas = replicas

    @precondition(lambda self: self.pods)
    @rule(data=st.data(), state=st.sampled_from(["scheduled", "running", "Failed"]))
    def move_on(self, data: st.DataObject, state: str) -> None:
        index = data.draw(st.sampled_from(sorted(self.pods)))
        marked = self.pods[index]["metadata"].get("annotations", {}).get(labels.RETIRE, "")
        self.pods[index] = a_worker(index, state=state, marked=marked, ended=ago(60))

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        del self.pods[data.draw(st.sampled_from(sorted(self.pods)))]

    @rule(data=st.data(), reachable=st.booleans())
    def reconcile(self, data: st.DataObject, reachable: bool) -> None:
        for stage in self._plan(reachable).stages:
            for action in stage:
                if not data.draw(st.booleans()):
                    return
                self._do(action)

    def _plan(self, reachable: bool) -> Any:
        running = [index for index, pod in self.pods.items() if pod["status"]["phase"] == "Running"]
        workers = {address: fact for index in running for address, fact in facts(index).items()}
        group = a_group(self.replicas, counter=self.counter)
        pods = list(self.pods.values())
        return plan(a_view(pods, self.replicas, workers=workers if reachable else None, group=group), NOW)

    def _do(self, action: Action) -> None:
        index_of = {name_of(index): index for index in range(self.counter + 10)}
        if isinstance(action, Create):
            name = action.body["metadata"]["name"]
            assert name not in self.made, "a worker made twice"
            self.made.add(name)
            self.pods[index_of[name]] = a_worker(index_of[name], state="unscheduled")
        elif isinstance(action, Delete):
            self.pods.pop(index_of[action.name], None)
        elif isinstance(action, Retire):
            for pod in action.pods:
                self.pods.pop(index_of[pod.name], None)
        elif isinstance(action, Patch) and action.sub == "status":
            self.counter = action.patch["status"]["counter"]  # type: ignore[call-overload]
        else:
            index = index_of[action.name]
            self.pods[index] = a_worker(index, marked="scale-down 2026-01-31T12:00:00Z")

    @invariant()
    def no_more_are_made_than_asked_for(self) -> None:
        if not hasattr(self, "pods"):
            return
        planned = self._plan(reachable=False)
        creates = sum(isinstance(action, Create) for action in planned.actions)
        assert creates <= self.replicas

    def teardown(self) -> None:
        if not hasattr(self, "pods"):
            return
        for _ in range(4):
            for action in self._plan(reachable=True).actions:
                self._do(action)
        assert not self._plan(reachable=True).actions, "it does not come to rest"
        assert len(self.pods) == self.replicas


TestGroup = Group.TestCase
TestGroup.settings = hypothesis.settings(max_examples=60, stateful_step_count=15, deadline=None)
