"""Workers that end soon after their start come back later each time."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api import labels
from dask_gpu_k8s.operator.engine.actions import Create, Plan
from dask_gpu_k8s.operator.workergroup.plan import plan
from tests.unit.operator.builders import NOW, a_view, a_worker, ago, annotated


def ended(seconds: float, *, ran: float = 3, failures: int = 0, state: str = "Failed"):
    pod = a_worker(1, state=state, created=ago(seconds + ran), ended=ago(seconds))
    pod["status"]["startTime"] = ago(seconds + ran)
    return annotated(pod, failures=str(failures))


@pytest.mark.parametrize(
    ("pod", "wait"),
    [
        (ended(0), 0),  # the first is replaced at once
        (ended(3, failures=1), 7),
        (ended(11, failures=1), 0),
        (ended(3, failures=2), 17),
        (ended(3, failures=3, state="Succeeded"), 37),
        (ended(100, failures=40), 200),  # never longer than five minutes
        (ended(3, ran=61, failures=9), 0),  # it had been well
        (annotated(a_worker(1, state="Failed", created=ago(4)), failures="1"), 6),  # a kubelet took it not
        (annotated(ended(3), failures="many"), 0),
    ],
)
def test_row_30_back_off_of_a_crash_loop(pod, wait):
    made = plan(a_view([a_worker(0), pod]), NOW)
    if wait:
        assert made == Plan(wake_after=wait)
    else:
        assert sum(isinstance(action, Create) for action in made.actions) == 1


@pytest.mark.parametrize(
    ("pod", "failures"), [(ended(0), "1"), (ended(60, failures=3), "4"), (ended(0, ran=90), None)]
)
def test_the_successor_says_how_many_there_were(pod, failures):
    (create,) = [
        action for action in plan(a_view([a_worker(0), pod]), NOW).actions if isinstance(action, Create)
    ]
    assert create.body["metadata"]["annotations"].get(labels.FAILURES) == failures


def test_a_surplus_pod_that_has_ended_is_not_kept():
    made = plan(a_view([a_worker(0), ended(3, failures=5)], 1), NOW)
    assert [str(action) for action in made.actions] == [f"delete pod {a_worker(1)['metadata']['name']}"]
