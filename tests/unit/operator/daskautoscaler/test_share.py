"""How many workers each group should have, from the work that there is."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.operator.daskautoscaler.offer import Offer
from dask_gpu_k8s.operator.daskautoscaler.share import Member, unserved, wishes
from dask_gpu_k8s.operator.engine.demand import Demand, GroupLoad, Work

GPU = Offer({"GPU": 1.0})


def cpus(name: str = "cpu", maximum: int = 10, *, minimum: int = 0, **more: Any) -> Member:
    return Member(name, more.pop("offer", Offer()), minimum, maximum, **more)


def gpus(name: str = "gpu", maximum: int = 10, *, minimum: int = 0, **more: Any) -> Member:
    return Member(name, more.pop("offer", GPU), minimum, maximum, **more)


def plain(tasks: float, seconds: float | None = None) -> Work:
    return Work({}, tasks, 100.0 * tasks if seconds is None else seconds)


def needing(tasks: float, seconds: float | None = None, **needs: float) -> Work:
    return Work(needs, tasks, 100.0 * tasks if seconds is None else seconds)


def load(pods: int, **more: int) -> GroupLoad:
    return GroupLoad(**{"pods": pods, "workers": pods, "threads": pods, "limit": pods * 100, **more})


def shared(members: list[Member], *work: Work, **groups: GroupLoad) -> dict[str, int]:
    return wishes(Demand(work=work, groups=groups), members)


@pytest.mark.parametrize(
    ("work", "wanted"),
    [
        pytest.param([], (0, 0), id="nothing to do"),
        pytest.param([plain(3)], (3, 0), id="what any worker can do is not for GPUs"),
        pytest.param([needing(3, GPU=1)], (0, 3), id="row 15: what needs a GPU is for GPUs alone"),
        pytest.param([plain(2), needing(3, GPU=1)], (2, 3), id="both"),
        pytest.param([needing(3, FPGA=1)], (0, 0), id="what nobody offers helps nobody"),
        pytest.param([needing(3, GPU=2)], (0, 0), id="nor what is more than anybody offers"),
        pytest.param([plain(100, 0.5)], (1, 0), id="many short tasks fit into the time aimed at"),
        pytest.param([plain(100, 20.0)], (4, 0), id="as Dask counts: seconds by the duration aimed at"),
        pytest.param([plain(2, 3600.0)], (2, 0), id="few long tasks do not ask for more than one each"),
        pytest.param([needing(1, 0.0, GPU=1)], (0, 1), id="one of no duration needs a worker too"),
        pytest.param([plain(30)], (30, 0), id="more than the maximum is said too"),
        pytest.param([needing(0.5, GPU=0.5)], (0, 1), id="two halves of a GPU"),
        pytest.param([needing(5, GPU=0.5)], (0, 5), id="one thread is one task, whatever the resources"),
    ],
)
def test_work_goes_to_those_who_can_do_it(work, wanted):
    found = shared([cpus(), gpus()], *work)
    assert (found["cpu"], found["gpu"]) == wanted


def test_what_nobody_offers_is_named():
    work = (plain(1), needing(1, GPU=1), needing(1, gpu=1), needing(1, GPU=2, MEM=0.5))
    assert unserved(Demand(work=work), [cpus(), gpus()]) == ["GPU=2, MEM=0.5", "gpu=1"]
    assert unserved(Demand(work=work[:1]), [cpus(maximum=0)]) == []


def test_without_a_plain_group_those_with_resources_do_plain_work():
    assert shared([gpus()], plain(3)) == {"gpu": 3}
    assert shared([gpus(), cpus(maximum=0)], plain(3)) == {"gpu": 3, "cpu": 0}


def test_threads_and_processes_of_a_pod_are_slots():
    eight = Offer({}, threads=4, processes=2)
    assert shared([cpus(offer=eight)], plain(20)) == {"cpu": 3}
    # What workers really have wins over what their command says.
    assert shared([cpus()], plain(20), cpu=load(2, workers=4, threads=16)) == {"cpu": 3}


def test_a_worker_with_two_gpus_does_two_tasks_if_it_has_the_threads():
    two = Offer({"GPU": 2.0}, threads=2)
    assert shared([gpus(offer=two)], needing(4, GPU=1)) == {"gpu": 2}
    assert shared([gpus(offer=two)], needing(4, GPU=2)) == {"gpu": 4}


def test_the_cheap_group_grows_first_and_shrinks_last():
    spot, dear = cpus("spot", 4, priority=1), cpus("dear", 10, priority=2)
    sizes = [shared([dear, spot], plain(n)) for n in (1, 4, 6, 14, 20, 6, 3)]
    assert [(size["spot"], size["dear"]) for size in sizes] == [
        (1, 0), (4, 0), (4, 2), (4, 10), (4, 16), (4, 2), (3, 0),
    ]  # fmt: skip


def test_workers_that_are_there_anyway_do_the_work_first():
    fixed = cpus("fixed", 3, minimum=3)
    assert shared([fixed, cpus("more", 5, priority=-1)], plain(4)) == {"fixed": 3, "more": 1}
    at_least = cpus("least", 5, minimum=2, priority=9)
    assert shared([at_least, cpus("more", 5)], plain(2)) == {"least": 2, "more": 0}


def test_the_choosiest_work_is_placed_first():
    big = gpus("big", 1, offer=Offer({"GPU": 1.0, "MEM": 80.0}))
    small = gpus("small", 5, priority=1)
    found = shared([big, small], needing(2, GPU=1), needing(1, GPU=1, MEM=40))
    assert found == {"big": 1, "small": 2}


def test_busy_workers_stay():
    assert shared([cpus()], plain(5, 1.0), cpu=load(5, busy=3)) == {"cpu": 3}


def test_no_group_shrinks_below_what_its_data_needs():
    assert shared([cpus()], cpu=load(10)) == {"cpu": 0}
    assert shared([cpus()], cpu=load(10, nbytes=1)) == {"cpu": 1}
    assert shared([cpus()], cpu=load(10, nbytes=240)) == {"cpu": 5}
    assert shared([cpus()], cpu=load(10, nbytes=590)) == {"cpu": 10}
    assert shared([cpus()], cpu=load(10, nbytes=5, limit=0)) == {"cpu": 10}


def test_a_full_group_doubles():
    assert shared([cpus()], cpu=load(3, nbytes=190)) == {"cpu": 6}


def test_workers_of_other_names_are_the_only_groups():
    assert shared([cpus()], **{"": load(4, busy=4)}) == {"cpu": 4}
    assert shared([cpus(), gpus()], **{"": load(4, busy=4)}) == {"cpu": 0, "gpu": 0}
