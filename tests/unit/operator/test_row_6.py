"""Row 6: no order of events leaves a phase stuck or a group unmade."""

from __future__ import annotations

import contextlib
import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP, POD
from dask_gpu_k8s.local.errors import StatusError
from tests.integration.operator.conftest import a_cluster
from tests.unit.operator.simulation import HOME, Simulation

NAMES = st.sampled_from(["a", "b", "c"])
REPLICAS = st.integers(0, 3)


class AnyOrder(RuleBasedStateMachine):
    """People make, change and delete clusters of few names while the operator sees and does things late."""

    def __init__(self) -> None:
        super().__init__()
        self.it = Simulation()
        self.wanted: dict[str, int] = {}

    @rule(name=NAMES, replicas=REPLICAS, suspend=st.booleans())
    def create(self, name: str, replicas: int, suspend: bool) -> None:
        if name not in self.wanted:
            cluster = a_cluster(name, replicas)
            cluster["spec"]["suspend"] = suspend
            self.it.api.create(DASKCLUSTER, HOME, cluster)
            self.wanted[name] = replicas

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if self.wanted.pop(name, None) is not None:
            self.it.api.delete(DASKCLUSTER, HOME, name)

    @rule(name=NAMES, replicas=REPLICAS)
    def scale(self, name: str, replicas: int) -> None:
        if name in self.wanted and self.wanted[name] != replicas:
            self._edit(name, {"worker": {"replicas": replicas}})
            self.wanted[name] = replicas

    @rule(name=NAMES, suspend=st.booleans())
    def suspend(self, name: str, suspend: bool) -> None:
        if name in self.wanted:
            self._edit(name, {"suspend": suspend})

    def _edit(self, name: str, spec: dict[str, Any]) -> None:
        self.it.api.patch(DASKCLUSTER, HOME, name, {"spec": spec})

    @rule(name=NAMES, what=st.sampled_from([(POD, "-scheduler"), (DASKWORKERGROUP, "-default")]))
    def lose(self, name: str, what: Any) -> None:
        resource, suffix = what
        with contextlib.suppress(StatusError):
            self.it.api.delete(resource, HOME, f"{name}{suffix}")

    @rule(data=st.data())
    def see(self, data: Any) -> None:
        if self.it.lagging:
            self.it.deliver(data.draw(st.sampled_from(self.it.lagging)))

    @rule()
    def see_all(self) -> None:
        self.it.deliver_all()

    @rule(data=st.data())
    def look(self, data: Any) -> None:
        if self.it.keys():
            self.it.reconcile(*data.draw(st.sampled_from(self.it.keys())))

    @rule()
    def collect(self) -> None:
        self.it.collect()

    @rule()
    def restart(self) -> None:
        self.it.restart()

    @precondition(lambda self: self.wanted)
    @rule()
    def settle(self) -> None:
        self.it.settle()
        self.it.check(self.wanted)

    def teardown(self) -> None:
        try:
            self.it.settle()
            self.it.check(self.wanted)
        finally:
            self.it.close()


TestRow6AnyOrder = AnyOrder.TestCase
TestRow6AnyOrder.settings = settings(max_examples=8, stateful_step_count=40, deadline=None)


def test_row_6_created_and_deleted_500_times_in_any_order_of_events() -> None:
    rng = random.Random(6)
    it = Simulation()
    wanted: dict[str, int] = {}
    for _ in range(500):
        name = rng.choice("abc")
        if name in wanted:
            it.api.delete(DASKCLUSTER, HOME, name)
            del wanted[name]
        else:
            wanted[name] = rng.randrange(4)
            it.api.create(DASKCLUSTER, HOME, a_cluster(name, wanted[name]))
        for _ in range(rng.randrange(30)):
            it.anything(rng)
    it.settle()
    it.check(wanted)
    it.close()
