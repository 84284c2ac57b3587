"""When an autoscaler changes a group, and to what."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.api.resources import DASKAUTOSCALER, DASKWORKERGROUP
from dask_gpu_k8s.operator.daskautoscaler.plan import POLL
from dask_gpu_k8s.operator.engine.demand import Demand, GroupLoad, Work
from tests.unit.operator.builders import a_cluster, a_group, a_worker, ago
from tests.unit.operator.daskautoscaler.builders import World, an_autoscaler


def wanting(target: int) -> Demand:
    return Demand(target=target)


def test_it_grows_at_once():
    world = World()
    world.answer = wanting(7)
    assert world.after(0) == 7


def test_what_is_decided_is_written_before_the_group_is_told():
    world = World()
    world.answer = wanting(7)
    planned, _ = world.look()
    assert [[action.resource for action in stage] for stage in planned.stages] == [
        [DASKAUTOSCALER],
        [DASKWORKERGROUP],
    ]
    decision, order = planned.actions
    assert decision.patch["metadata"] == {"resourceVersion": "5"}
    assert decision.patch["status"]["desiredReplicas"] == 7
    assert order.patch["spec"] == {"worker": {"replicas": 7}}


def test_an_order_holds_only_for_the_group_that_was_seen():
    """Whoever takes the autoscaler away and sets a size in between has the last word."""
    world = World()
    world.answer = wanting(7)
    planned, _ = world.look()
    _, order = planned.actions
    assert order.patch["metadata"] == {"resourceVersion": world.groups[0]["metadata"]["resourceVersion"]}


def test_it_shrinks_only_to_what_was_wished_within_the_window():
    world = World(replicas=8)
    world.answer = wanting(3)
    assert [world.after(5) for _ in range(11)] == [8] * 11
    world.answer = wanting(1)
    assert [world.after(5) for _ in range(3)] == [8, 3, 3]


def test_each_direction_has_its_window():
    spec = {
        "scaleUp": {"stabilizationWindowSeconds": 20},
        "scaleDown": {"stabilizationWindowSeconds": 0},
    }
    world = World(an_autoscaler(**spec), replicas=4)
    world.answer = wanting(9)
    assert [world.after(5) for _ in range(5)] == [4, 4, 4, 4, 9]
    world.answer = wanting(2)
    assert world.after(5) == 2


def test_row_2_target_alternating_5_and_10_for_5_minutes():
    """The number of changes is bounded, and it follows when the work is really over."""
    world = World(replicas=5)
    sizes = []
    for number in range(60):
        world.answer = wanting(10 if number % 2 else 5)
        sizes.append(world.after(POLL))
    changes = [after for before, after in zip([5, *sizes], sizes, strict=False) if after != before]
    assert changes == [10]
    world.answer = wanting(0)
    assert [world.after(60), world.after(POLL)][-1] == 10, "there was a gap: the window begins anew"
    assert [world.after(POLL) for _ in range(13)][-1] == 0


@pytest.mark.parametrize("period", [5, 15, 30, 45])
def test_row_2_at_any_rhythm(period):
    world = World(replicas=5)
    sizes = []
    for number in range(0, 300, 5):
        world.answer = wanting(10 if number // period % 2 else 5)
        sizes.append(world.after(POLL))
    assert len({5, *sizes}) == 2
    assert sizes == sorted(sizes), "it never shrank"


def test_bounds_hold_at_once():
    world = World(an_autoscaler(minimum=2, maximum=6))
    world.answer = wanting(50)
    assert world.after(5) == 6
    assert world.condition("Limited") == ("True", "AtMaximum")
    world.autoscalers[0]["spec"]["maximum"] = 4
    assert world.after(5) == 4
    world.autoscalers[0]["spec"].update(minimum=0, maximum=20)
    assert world.after(5) == 20
    world.answer = wanting(0)
    world.autoscalers[0]["spec"]["minimum"] = 3
    assert [world.after(5) for _ in range(13)][-1] == 3
    assert world.condition("Limited") == ("False", "WithinBounds")


def test_row_29_zero_is_a_size():
    world = World(replicas=0)
    world.answer = wanting(3)
    assert world.after(5) == 3
    world.answer = wanting(0)
    assert [world.after(5) for _ in range(13)][-1] == 0


def test_settled_means_no_writes():
    world = World()
    world.answer = wanting(4)
    world.after(5)
    writes = len(world.writes)
    for _ in range(30):
        world.after(5)
    assert len(world.writes) == writes


def test_what_somebody_else_writes_into_the_group_is_put_back():
    world = World()
    world.answer = wanting(4)
    world.after(5)
    world.groups[0]["spec"]["worker"]["replicas"] = 1
    planned, said = world.look()
    assert [action.resource for action in planned.actions] == [DASKWORKERGROUP]
    assert world.size == 4
    assert said is not None
    assert said.notes == ()


def test_a_scheduler_that_does_not_answer_changes_nothing():
    world = World(replicas=6)
    world.answer = wanting(8)
    world.after(5)
    world.answer = None
    assert [world.after(5) for _ in range(40)] == [8] * 40
    assert world.condition("Active") == ("False", "SchedulerUnreachable")
    assert "no answer within 5 s" in world.message()
    world.answer = wanting(0)
    assert world.after(5) == 8, "silence was no wish for nothing"


def test_a_scheduler_that_is_silent_for_long_is_asked_less_often():
    world = World()
    world.answer = None
    waits = []
    for seconds in (0, 5, 100, 1000):
        world.seconds += seconds
        waits.append(world.look()[0].wake_after)
    assert waits == [5, 5, 26.25, 60]


def test_a_scheduler_that_is_not_ready_is_not_asked():
    world = World()
    world.scheduler["status"]["conditions"][0]["status"] = "False"
    world.answer = wanting(7)
    assert world.after(5) == 2
    assert "its Pod is not ready" in world.message()


def test_scaling_is_told_once():
    world = World()
    world.answer = wanting(4)
    _, said = world.look()
    assert said is not None
    assert [note.message for note in said.notes] == ["Number of workers of foo-default: 4 instead of 2."]
    assert world.autoscalers[0]["status"]["lastScaleTime"] == "2026-01-31T12:00:00Z"
    _, said = world.look()
    assert said is not None
    assert said.notes == ()


def test_reana_834_workers_on_their_way_out_count_against_the_maximum():
    world = World(an_autoscaler(maximum=5), replicas=0)
    world.pods = [a_worker(index, marked="scale-down") for index in range(3)]
    world.answer = wanting(5)
    assert world.after(5) == 2
    assert world.condition("Limited") == ("True", "WorkersLeaving")
    world.pods = world.pods[:1]
    assert world.after(5) == 4
    # One that is being deleted has ended its work; one that has ended takes no room.
    world.pods = [a_worker(0, marked="scale-down", deleted=True)]
    assert world.after(5) == 5


def test_if_nobody_can_take_their_data_one_more_worker_is_let_in():
    world = World(an_autoscaler(maximum=1), replicas=0)
    world.pods = [a_worker(0, marked="scale-down")]
    world.answer = wanting(1)
    assert world.after(5) == 0
    shrinking = {"type": "ScalingDown", "status": "True", "reason": "DataCannotMove"}
    world.groups[0]["status"] = {"conditions": [shrinking]}
    assert world.after(5) == 1


def test_a_group_never_shrinks_because_others_are_leaving():
    world = World(an_autoscaler(maximum=5), replicas=4)
    world.pods = [a_worker(index, marked="scale-down") for index in range(3)]
    world.answer = wanting(5)
    assert world.after(5) == 4


def test_row_15_each_group_follows_its_own_work():
    gpu = an_autoscaler("gpus", workerGroup="foo-gpu", resources={"GPU": 1})
    world = World(an_autoscaler(), gpu, replicas=0)
    group = a_group(0, world.cluster)
    group["metadata"] = {**group["metadata"], "name": "foo-gpu"}
    world.groups.append(group)
    world.answer = Demand(work=(Work({"GPU": 1.0}, 4, 400.0),))
    for name in ("scaler", "gpus"):
        world.look(name)
    assert [each["spec"]["worker"]["replicas"] for each in world.groups] == [0, 4]
    assert world.condition("Active", "gpus") == ("True", "WorkMeasured")


def test_tasks_for_which_there_are_no_workers_are_said():
    world = World()
    world.answer = Demand(work=(Work({"gpu": 1.0}, 4, 400.0),))
    assert world.after(5) == 2
    assert world.condition("Unserved") == ("True", "ResourcesNotOffered")
    assert "workers that offer gpu=1" in world.message("Unserved")
    world.answer = Demand()
    world.after(5)
    assert world.condition("Unserved") == ("False", "ResourcesOffered")


def test_without_a_word_about_who_needs_what_only_the_default_group_is_served():
    world = World(an_autoscaler(), an_autoscaler("gpus", workerGroup="foo-gpu"))
    group = a_group(1, world.cluster)
    group["metadata"] = {**group["metadata"], "name": "foo-gpu"}
    world.groups.append(group)
    world.answer = wanting(5)
    world.look()
    world.look("gpus")
    assert world.condition("Active") == ("True", "AdaptiveTarget")
    assert world.condition("Active", "gpus") == ("False", "DemandUnknown")
    assert [each["spec"]["worker"]["replicas"] for each in world.groups] == [5, 1]


def test_workers_of_whom_nobody_knows_the_group_keep_all_groups_from_shrinking():
    world = World(replicas=5)
    other = a_group(1, world.cluster)
    other["metadata"] = {**other["metadata"], "name": "foo-other"}
    world.groups.append(other)
    world.answer = Demand(groups={"": GroupLoad(3, 3, 3, 3)})
    assert [world.after(5) for _ in range(20)][-1] == 5


@pytest.mark.parametrize("field", ["suspend", "suspendWorkers"])
def test_suspended_clusters_are_left_alone(field):
    cluster = a_cluster()
    world = World(cluster={**cluster, "spec": {**cluster["spec"], field: True}})
    world.answer = wanting(7)
    planned, _ = world.look()
    assert planned.actions == ()
    assert planned.wake_after is None
    assert world.condition("Active") == ("False", "Suspended")


def test_a_cluster_whose_workers_are_kept_as_they_are():
    cluster = a_cluster()
    cluster["metadata"]["annotations"] = {"kubernetes.dask.org/frozen-ana": ago(-60)}
    world = World(cluster=cluster, replicas=3)
    world.answer = wanting(7)
    assert world.after(30) == 3
    planned, _ = world.look()
    assert planned.actions == ()
    assert world.condition("Active") == ("False", "Frozen")
    assert world.after(30) == 7
