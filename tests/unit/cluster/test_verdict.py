from __future__ import annotations

import pytest

from dask_gpu_k8s.cluster.scheduler_pod import pick_scheduler
from dask_gpu_k8s.cluster.verdict import Patience, Verdict, judge, operator_has_seen


def cluster(**status):
    return {"metadata": {"name": "demo", "namespace": "default", "uid": "c1"}, "status": status}


def pod(name="demo-scheduler", owner="c1", created="2026-01-01T00:00:00Z", node="node", **status):
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "creationTimestamp": created,
            "ownerReferences": [{"uid": owner}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "scheduler"}]},
        "status": status,
    }


def container(state, restarts=0, last=None):
    entry = {"name": "scheduler", "state": state, "restartCount": restarts, "lastState": last or {}}
    return {"containerStatuses": [entry]}


def waiting(reason, message="", **more):
    return container({"waiting": {"reason": reason, "message": message}}, **more)


def ended(code=1, reason="Error", message=""):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def event(reason, message="", minute=0):
    about = {"kind": "Pod", "name": "demo-scheduler", "uid": "uid-demo-scheduler"}
    when = f"2026-01-01T00:{minute:02}:00Z"
    return {"reason": reason, "message": message, "involvedObject": about, "lastTimestamp": when}


READY = {"conditions": [{"type": "Ready", "status": "True"}]}
UNSCHEDULABLE = {
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }
    ]
}
RUNNING = {"running": {}}


def seconds_until_over(*story, limit=600.0):
    """Play what is seen at each second, the last for ever; return when patience ends, or None in a day."""
    patience = Patience(limit)
    seen = dict(story)
    verdict = None
    for now in range(24 * 3600):
        if now in seen:
            pods, events = seen[now]
            verdict = judge(cluster(), pods, events)
        patience = patience.after(verdict, now)
        if patience.is_over(now):
            return now
    return None


@pytest.mark.parametrize(
    ("status", "seen"), [({}, False), ({"phase": "Created"}, True), ({"observedGeneration": 1}, True)]
)
def test_whether_an_operator_has_seen_it(status, seen):
    assert operator_has_seen(cluster(**status)) is seen


def test_a_scheduler_that_is_ready():
    verdict = judge(cluster(), [pod(**READY)], [])
    assert verdict.state == "ready"
    assert verdict.pod["metadata"]["name"] == "demo-scheduler"


def test_a_scheduler_that_starts():
    assert judge(cluster(), [pod()], []).state == "progressing"


def test_no_scheduler_yet():
    verdict = judge(cluster(phase="Created"), [], [])
    assert (verdict.state, verdict.reason) == ("failing", "NoSchedulerPod")


@pytest.mark.parametrize(
    ("type_", "status", "reason", "seconds"),
    [
        ("Accepted", "False", "Invalid", 0),
        ("SchedulerReady", "False", "Suspended", 0),
        ("SchedulerLost", "True", "LossPolicyFail", 0),
        ("Accepted", "False", "QuotaExceeded", 40),
        ("Accepted", "False", "Forbidden", 40),
        ("Accepted", "False", "NameTaken", 600),
    ],
)
def test_what_the_operator_says_where_there_is_no_pod(type_, status, reason, seconds):
    condition = {"type": type_, "status": status, "reason": reason, "message": "because"}
    seen = cluster(observedGeneration=1, conditions=[condition])
    seen["metadata"]["generation"] = 1
    verdict = judge(seen, [], [])
    assert (verdict.state, verdict.reason) == ("failing", reason)
    assert verdict.message == "the operator says: because"
    patience = Patience(600).after(verdict, 100)
    assert patience.is_over(100 + seconds)
    assert seconds == 0 or not patience.is_over(99 + seconds)
    seen["metadata"]["generation"] = 2
    assert judge(seen, [], []).reason == "NoSchedulerPod", "that was about the spec as it was"


def test_the_scheduler_of_an_earlier_cluster_of_that_name_is_not_ours():
    assert pick_scheduler([pod(owner="c0", **READY)], "c1") is None


def test_a_scheduler_that_is_leaving_is_not_ours():
    leaving = pod(**READY)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    assert pick_scheduler([leaving], "c1") is None


def test_the_youngest_scheduler_is_ours():
    old, new = pod("old"), pod("new", created="2026-01-01T00:00:01Z")
    assert pick_scheduler([new, old], "c1") is new


# Patience


def test_row_11_a_node_that_takes_20_minutes_is_waited_for():
    """Kubernetes' autoscaler says that it comes; then the image takes ten minutes more."""
    no_node = pod(node="", **UNSCHEDULABLE)
    coming = [event("FailedScheduling"), event("TriggeredScaleUp", "pod triggered scale-up: [gpu 0->1]", 1)]
    pulling = pod(**waiting("ContainerCreating"))
    story = [
        (0, ([no_node], [])),
        (30, ([no_node], coming)),
        (1200, ([pulling], [*coming, event("Pulling", "", 20)])),
        (1800, ([pod(**container(RUNNING))], [])),
        (1830, ([pod(**READY)], [])),
    ]
    assert seconds_until_over(*story, limit=60) is None


def test_a_node_that_nobody_makes_is_given_up_after_the_limit():
    no_node = pod(node="", **UNSCHEDULABLE)
    assert seconds_until_over((0, ([no_node], [])), limit=60) == 60
    gave_up = [
        event("TriggeredScaleUp", "", 1),
        event("NotTriggerScaleUp", "1 in backoff after failed scale-up", 15),
    ]
    verdict = judge(cluster(), [no_node], gave_up)
    assert verdict.reason == "Unschedulable"
    assert verdict.message.endswith("No node is made for it: 1 in backoff after failed scale-up")
    story = [(0, ([no_node], gave_up[:1])), (900, ([no_node], gave_up))]
    assert seconds_until_over(*story, limit=60) == 960


@pytest.mark.parametrize(
    ("status", "seconds"),
    [
        (waiting("InvalidImageName"), 0),
        (waiting("CreateContainerConfigError", 'secret "s3" not found'), 20),
        (waiting("ErrImageNeverPull"), 20),
        (waiting("ErrImagePull"), 30),
        (waiting("PreStartHookError"), 600),
    ],
)
def test_a_reason_that_does_not_mend_itself_is_believed_sooner_than_the_limit(status, seconds):
    assert seconds_until_over((0, ([pod(**status)], []))) == seconds
    assert seconds_until_over((0, ([pod(**status)], [])), limit=5) == min(5, seconds)


def test_a_volume_of_a_missing_secret_is_no_slow_volume():
    creating = pod(**waiting("ContainerCreating"))
    missing = event("FailedMount", 'MountVolume.SetUp failed for volume "s" : secret "s3" not found')
    slow = event("FailedAttachVolume", "Multi-Attach error for volume")
    assert seconds_until_over((0, ([creating], [missing]))) == 20
    assert seconds_until_over((0, ([creating], [slow]))) == 600
    mounted = [missing, event("Pulling", "", 1)]
    assert seconds_until_over((0, ([creating], [missing])), (10, ([creating], mounted))) is None


def test_a_pull_that_succeeds_after_a_hiccup():
    story = [
        (0, ([pod(**waiting("ErrImagePull"))], [])),
        (5, ([pod(**waiting("ImagePullBackOff"))], [])),
        (29, ([pod(**container(RUNNING))], [])),
    ]
    assert seconds_until_over(*story) is None
    assert seconds_until_over(*story[:2]) == 30, "the two words are about one thing"


def crashing(end, every=100):
    """Tell of a container that runs for a while, ends, and is started again."""
    for number in range(5):
        last = end if number else None
        yield number * every, ([pod(**container(RUNNING, number, last))], [])
        yield number * every + 50, ([pod(**container(end, number, last))], [])
        yield number * every + 51, ([pod(**waiting("CrashLoopBackOff", restarts=number, last=end))], [])
        yield number * every + 61, ([pod(**container(RUNNING, number + 1, end))], [])


def test_a_container_that_ends_again_and_again():
    assert seconds_until_over(*crashing(ended())) == 251, "the third time"
    assert seconds_until_over(*crashing(ended(137, "OOMKilled"))) == 151, "the same limit, the same end"
    assert seconds_until_over(*crashing(ended(128, "StartError", "not found"))) == 151


def test_running_in_between_is_no_progress():
    assert seconds_until_over(*crashing(ended(), every=300), limit=200) == 350


def test_a_container_that_is_well_after_its_first_end():
    story = [*list(crashing(ended()))[:5], (140, ([pod(**READY)], []))]
    assert seconds_until_over(*story) is None


def test_a_scheduler_that_ends_and_is_made_anew_by_the_operator():
    """With restartPolicy Never each Pod ends once."""
    story = [
        (number * 20, ([{**pod(**container(ended()), phase="Failed"), "metadata": one["metadata"]}], []))
        for number in range(3)
        for one in [pod(f"demo-{number}")]
    ]
    assert seconds_until_over(*story) == 40


FAILING = Verdict("failing", "Unschedulable", "")
PROGRESS = Verdict("progressing", "Pulling", "")


def test_progress_gives_patience_anew():
    patience = Patience(60).after(FAILING, 100).after(PROGRESS, 150).after(FAILING, 155)
    assert not patience.is_over(214)
    assert patience.is_over(215)
