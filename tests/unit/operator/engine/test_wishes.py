"""What autoscalers wished lately."""

from __future__ import annotations

from dask_gpu_k8s.operator.engine.facts import Key
from dask_gpu_k8s.operator.engine.wishes import GAP, Wishes

KEY = Key("DaskAutoscaler", "ns", "foo")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def noted(*wishes: int, every: float = 5.0, current: int = 3, keep: float = 60.0) -> tuple[Wishes, Clock]:
    clock = Clock()
    kept = Wishes(clock)
    for wish in wishes:
        kept.note(KEY, wish, current, keep)
        clock.now += every
    clock.now -= every
    return kept, clock


def test_without_a_window_the_last_wish_counts():
    wishes, _ = noted(7, 2)
    assert (wishes.lowest(KEY, 0), wishes.highest(KEY, 0)) == (2, 2)


def test_a_window_begins_with_what_there_is():
    wishes, _ = noted(7, 5)
    assert (wishes.lowest(KEY, 60), wishes.highest(KEY, 60)) == (3, 7)


def test_only_the_window_counts():
    wishes, _ = noted(9, 5, 6, 4, 4)
    assert (wishes.lowest(KEY, 12), wishes.highest(KEY, 12)) == (4, 6)


def test_after_a_gap_it_begins_anew():
    """A scheduler that did not answer for a while wished for nothing meanwhile: it is not an empty one."""
    wishes, clock = noted(9)
    clock.now += GAP + 1
    wishes.note(KEY, 0, 8, 60)
    assert (wishes.lowest(KEY, 60), wishes.highest(KEY, 60)) == (0, 8)


def test_what_no_window_needs_is_forgotten():
    wishes, _ = noted(*range(100), keep=20)
    assert len(wishes._noted[KEY]) <= 5
    wishes.forget(KEY)
    assert not wishes._noted
