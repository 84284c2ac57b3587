"""Who goes first, and which worker belongs to which Pod."""

from __future__ import annotations

from dask_gpu_k8s.operator.engine.facts import WorkerFacts
from dask_gpu_k8s.operator.workergroup.victims import choose, has_strangers, match
from tests.unit.operator.builders import a_worker, facts, name_of


def order(pods: list, workers: dict) -> list[str]:
    return [candidate.name for candidate in choose(match(pods, workers), len(pods))]


def test_row_27_the_order_of_victims_pending_pods_first():
    pods = [
        a_worker(0),
        a_worker(1),
        a_worker(2),
        a_worker(3),
        a_worker(4, state="scheduled"),
        a_worker(5, state="unscheduled"),
    ]
    workers = {
        **facts(0, tasks=3, nbytes=1),
        **facts(1, nbytes=500),
        **facts(2, nbytes=20),
    }
    assert order(pods, workers) == [name_of(index) for index in (5, 4, 3, 2, 1, 0)]


def test_of_equals_the_youngest_goes():
    pods = [a_worker(0, created="2026-01-01T00:00:00Z"), a_worker(1, created="2026-01-02T00:00:00Z")]
    assert order(pods, {}) == [name_of(1), name_of(0)]


def test_all_processes_of_a_pod_are_found_by_their_names():
    workers = {
        "tcp://x:1": WorkerFacts(f"{name_of(0)}-0", "x", 10, 0, True),
        "tcp://x:2": WorkerFacts(f"{name_of(0)}-1", "x", 20, 5, True),
        "tcp://y:1": WorkerFacts(name_of(1), "y", 25, 0, True),
    }
    first, second = match([a_worker(0), a_worker(1)], workers)
    assert sorted(first.workers) == ["tcp://x:1", "tcp://x:2"]
    assert sorted(second.workers) == ["tcp://y:1"]
    assert first.cost == (4, 30)


def test_a_worker_of_another_name_is_found_by_its_address():
    (candidate,) = match([a_worker(0)], facts(0, name="whatever"))
    assert list(candidate.workers) == ["tcp://10.0.0.1:40000"]


def test_a_worker_is_found_by_any_of_its_pods_addresses():
    pod = a_worker(0)
    pod["status"] = {**pod["status"], "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}
    workers = {"tcp://[fd00::1]:40000": WorkerFacts("whatever", "fd00::1", 0, 0, True)}
    (candidate,) = match([pod], workers)
    assert list(candidate.workers) == ["tcp://[fd00::1]:40000"]
    assert not has_strangers([pod], workers)


def test_strangers_are_workers_that_may_be_any_pods():
    assert has_strangers([a_worker(0)], facts(7, name="tcp://10.0.0.8:40000"))
    # Gone, and not yet given up by the scheduler.
    assert not has_strangers([a_worker(0)], facts(7, name=name_of(7)))
    assert not has_strangers([a_worker(0)], facts(7, name=f"{name_of(7)}-3"))


def test_pods_that_share_their_machines_address_are_found_by_name_alone():
    pod = a_worker(0)
    pod["spec"] = {**pod["spec"], "hostNetwork": True}
    (candidate,) = match([pod], facts(0, name="whatever"))
    assert not candidate.workers


def test_workers_of_other_groups_belong_to_nobody_here():
    (candidate,) = match([a_worker(0)], facts(7, name="other-default-worker-group-worker-0123456789"))
    assert not candidate.workers


def test_a_registered_worker_is_not_spare_even_if_the_kubelet_has_not_said_that_it_runs():
    (candidate,) = match([a_worker(0, state="scheduled")], facts(0))
    assert not candidate.is_spare
