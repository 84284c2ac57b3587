"""A Client that has lost its scheduler, and a thread that submits just then."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from distributed import Client

from dask_gpu_k8s.cluster.futures import Futures


class State:
    """A future's state; another one comes in the moment in which it is cancelled."""

    def __init__(self, futures, then=()) -> None:
        self.status = "pending"
        self.reason = ""
        self._futures = futures
        self._then = then

    def cancel(self, reason=None, msg=None) -> None:
        self.status, self.reason = "cancelled", reason
        for key in self._then:
            self._futures[key] = State(self._futures)
            late.append(self._futures[key])


late: list[State] = []


@pytest.fixture
def lost():
    """A Client whose connection has gone, and which looks for its scheduler no longer than 0 s."""

    async def close() -> None:
        client.status = "closed"

    late.clear()
    futures = Futures()
    comm = SimpleNamespace(comm=SimpleNamespace(closed=lambda: True))
    client = SimpleNamespace(status="running", scheduler_comm=comm, futures=futures, _timeout=0, _close=close)
    futures["one"] = State(futures, ["two", "three"])
    futures["four"] = State(futures)
    return client


async def test_row_3_what_is_submitted_while_all_is_given_up_hinders_nobody(lost):
    """With a plain dict the task that is to connect again dies: the dictionary changed size."""
    states = lost.futures.values()
    await Client._reconnect(lost)
    assert lost.status == "closed", "it went on to connect"
    assert [state.reason for state in states] == ["scheduler-connection-lost"] * 2


async def test_row_3_what_is_submitted_while_all_is_given_up_is_not_waited_for_for_good(lost):
    await Client._reconnect(lost)
    assert [state.status for state in late] == ["cancelled", "cancelled"]
    assert dict(lost.futures) == {}


def test_a_reason_that_was_given_stays():
    futures = Futures()
    state = futures["one"] = State(futures)
    state.cancel(reason="somebody's wish")
    futures.clear()
    assert state.reason == "somebody's wish"
