"""What holds of sharing and deciding, whatever the work, the groups and the wishes are."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.operator.daskautoscaler.offer import Offer
from dask_gpu_k8s.operator.daskautoscaler.plan import POLL
from dask_gpu_k8s.operator.daskautoscaler.share import Member, wishes
from dask_gpu_k8s.operator.engine.demand import Demand, GroupLoad, Work
from tests.unit.operator.daskautoscaler.builders import World, an_autoscaler

offers = st.sampled_from([Offer(), Offer({"GPU": 1.0}), Offer({"GPU": 2.0}, threads=2)])
needs = st.sampled_from([{}, {"GPU": 1.0}, {"GPU": 2.0}])
works = st.lists(st.builds(Work, needs, st.integers(1, 50), st.floats(0, 1e4)), max_size=4)
loads = st.builds(
    lambda pods, busy, nbytes: GroupLoad(pods, pods, pods, min(pods, busy), nbytes, 100 * pods),
    st.integers(1, 9),
    st.integers(0, 9),
    st.integers(0, 900),
)


@st.composite
def groups(draw: st.DrawFn) -> list[Member]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        least = draw(st.integers(0, 5))
        most = least + draw(st.integers(0, 10))
        found.append(Member(f"g{number}", draw(offers), least, most, draw(st.integers(0, 2))))
    return found


@given(groups(), works, st.dictionaries(st.sampled_from(["g0", "g1", "g2"]), loads))
def test_busy_workers_and_data_are_never_shared_away(members, work, found):
    wished = wishes(Demand(work=tuple(work), groups=found), members)
    for member in members:
        load = found.get(member.name, GroupLoad())
        assert wished[member.name] >= load.busy
        assert wished[member.name] >= (1 if load.nbytes else 0)


@given(groups(), works)
def test_nobody_grows_for_work_that_it_cannot_do(members, work):
    wished = wishes(Demand(work=tuple(work)), members)
    for member in members:
        if all(each.needs and member.offer.resources.get("GPU", 0) < each.needs["GPU"] for each in work):
            assert wished[member.name] == 0


@given(groups(), st.integers(1, 60))
def test_what_fits_into_the_groups_is_placed_within_their_bounds(members, tasks):
    """Work of one kind, one slot for each task: none is lost, and no maximum is exceeded in vain."""
    plain = [Member(each.name, Offer(), each.minimum, each.maximum, each.priority) for each in members]
    wished = wishes(Demand(work=(Work({}, tasks, 100.0 * tasks),)), plain)
    room = sum(each.maximum for each in plain)
    assert sum(wished.values()) >= min(tasks, room)
    if tasks <= room:
        assert all(wished[each.name] <= each.maximum for each in plain)
        assert sum(wished.values()) == tasks


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(0, 5), st.integers(5, 20))
def test_sizes_stay_within_bounds_and_change_no_more_often_than_windows_allow(wanted, minimum, maximum):
    world = World(an_autoscaler(minimum=minimum, maximum=maximum), replicas=minimum)
    sizes = [minimum]
    for target in wanted:
        world.answer = Demand(target=target)
        sizes.append(world.after(POLL))
    assert all(minimum <= size <= maximum for size in sizes)
    shrinks = [at for at, (a, b) in enumerate(itertools.pairwise(sizes)) if b < a]
    for at in shrinks:
        within = wanted[max(0, at - math.floor(60 / POLL) + 1) : at + 1]
        assert sizes[at + 1] >= min(maximum, max(within)), "more was wanted within the window"
