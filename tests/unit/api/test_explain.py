"""One test per cause: what a Pod's status and events look like then, and what is said about it."""

from __future__ import annotations

from dask_gpu_k8s.api.explain import Explanation, events_of, explain_group, explain_pod


def pod(*containers, conditions=(), node="node", phase="Pending", limits=None, name="w", uid="1", **status):
    return {
        "metadata": {"name": name, "uid": uid},
        "spec": {
            **({"nodeName": node} if node else {}),
            "containers": [{"name": "worker", "resources": {"limits": limits or {}}}],
            "initContainers": [{"name": "prepare"}],
        },
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": list(containers),
            **status,
        },
    }


def container(state, name="worker", **more):
    return {
        "name": name,
        "image": "example.org/dask:1",
        "ready": False,
        "restartCount": 0,
        "state": state,
        **more,
    }


def waiting(reason, message="", **more):
    return container({"waiting": {"reason": reason, "message": message}}, **more)


def ended(code, reason="Error", message=""):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def event(reason, message, when="2026-01-31T12:00:00Z", name="w", uid="1"):
    about = {"kind": "Pod", "name": name, "uid": uid}
    return {"reason": reason, "message": message, "involvedObject": about, "lastTimestamp": when}


def condition(type_, status, reason="", message=""):
    return {"type": type_, "status": status, "reason": reason, "message": message}


def said(pod_, *events):
    explained = explain_pod(pod_, events)
    return explained.state, explained.reason, explained.message


RUNNING = container({"running": {"startedAt": "2026-01-31T12:00:00Z"}})


def test_ready():
    assert explain_pod(pod(RUNNING, conditions=[condition("Ready", "True")])).state == "ready"


def test_just_created():
    assert explain_pod({"metadata": {"name": "w"}}).reason == "Scheduling"
    assert explain_pod(pod(node=None)).state == "progressing"


def test_unschedulable():
    why = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    unschedulable = condition("PodScheduled", "False", "Unschedulable", why)
    assert said(pod(node=None, conditions=[unschedulable])) == (
        "failing",
        "Unschedulable",
        f"fits on no node: {why}",
    )


def test_unschedulable_known_from_the_event_alone():
    assert said(pod(node=None), event("FailedScheduling", "0/3 nodes are available")) == (
        "failing",
        "Unschedulable",
        "fits on no node: 0/3 nodes are available",
    )


def test_a_node_is_being_made_for_it():
    unschedulable = condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available")
    state, reason, message = said(
        pod(node=None, conditions=[unschedulable]),
        event("FailedScheduling", "0/1 nodes are available"),
        event("TriggeredScaleUp", "pod triggered scale-up: [gpu-pool 1->2]", "2026-01-31T12:01:00Z"),
    )
    assert (state, reason) == ("progressing", "ScalingUp")
    assert "gpu-pool 1->2" in message


def test_the_node_that_was_being_made_has_failed():
    unschedulable = condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available.")
    state, reason, message = said(
        pod(node=None, conditions=[unschedulable]),
        event("TriggeredScaleUp", "pod triggered scale-up: [gpu-pool 1->2]", "2026-01-31T12:01:00Z"),
        event("NotTriggerScaleUp", "1 in backoff after failed scale-up", "2026-01-31T12:16:00Z"),
    )
    assert (state, reason) == ("failing", "Unschedulable")
    assert message == (
        "fits on no node: 0/1 nodes are available. No node is made for it: 1 in backoff after failed scale-up"
    )


def test_held_back_by_a_scheduling_gate():
    gated = condition("PodScheduled", "False", "SchedulingGated", "Scheduling is blocked due to gates")
    assert said(pod(node=None, conditions=[gated]))[:2] == ("progressing", "SchedulingGated")


def test_image_cannot_be_pulled():
    state, reason, message = said(pod(waiting("ErrImagePull", "not found")))
    assert (state, reason) == ("failing", "ErrImagePull")
    assert message == "the image of container worker cannot be had (example.org/dask:1): not found"


def test_image_pull_backs_off_and_the_event_says_why():
    state, reason, message = said(
        pod(waiting("ImagePullBackOff", "Back-off pulling image")),
        event("Failed", 'Failed to pull image "example.org/dask:1": unauthorized'),
        event("Failed", "Error: ImagePullBackOff", "2026-01-31T12:01:00Z"),
    )
    assert (state, reason) == ("failing", "ImagePullBackOff")
    assert message.endswith("unauthorized")


def test_missing_secret_or_config_map():
    for what in ('secret "token" not found', 'configmap "settings" not found'):
        assert said(pod(waiting("CreateContainerConfigError", what))) == (
            "failing",
            "CreateContainerConfigError",
            f"container worker cannot be started: {what}",
        )


def test_missing_secret_as_a_volume():
    why = 'MountVolume.SetUp failed for volume "token" : secret "token" not found'
    assert said(pod(waiting("ContainerCreating")), event("FailedMount", why)) == (
        "failing",
        "FailedMount",
        why,
    )


def test_a_mount_that_failed_at_first_is_forgotten_once_the_container_runs():
    assert explain_pod(pod(RUNNING), [event("FailedMount", "timed out")]).reason == "ContainersNotReady"


def test_a_mount_that_failed_at_first_is_forgotten_once_the_image_is_pulled():
    events = [event("FailedMount", "timed out"), event("Pulling", "", "2026-01-31T12:01:00Z")]
    assert explain_pod(pod(waiting("ContainerCreating")), events).reason == "Pulling"


def test_command_not_found_says_containerd():
    why = 'exec: "dask-cuda-worker": executable file not found in $PATH: unknown'
    for status in (
        waiting("CrashLoopBackOff", "back-off", lastState=ended(128, "StartError", why)),
        container(ended(128, "StartError", why)),
    ):
        assert said(pod(status)) == ("failing", "StartError", f"container worker cannot be started: {why}")


def test_command_not_found():
    assert said(pod(waiting("CreateContainerError", "exec: dask-cuda-worker: not found")))[:2] == (
        "failing",
        "CreateContainerError",
    )


def test_crash_loop():
    looping = waiting(
        "CrashLoopBackOff", "back-off 10s", restartCount=3, lastState=ended(1, message="no module x")
    )
    assert said(pod(looping)) == (
        "failing",
        "CrashLoopBackOff",
        "container worker ends again and again (3 restarts), last with exit code 1: no module x",
    )


def test_killed_by_a_signal():
    looping = waiting("CrashLoopBackOff", restartCount=1, lastState=ended(139))
    assert "exit code 139 (SIGSEGV)" in said(pod(looping))[2]


def test_out_of_memory():
    for entry in (
        waiting("CrashLoopBackOff", restartCount=2, lastState=ended(137, "OOMKilled")),
        container(ended(137, "OOMKilled")),
        {**RUNNING, "restartCount": 1, "lastState": ended(137, "OOMKilled")},
    ):
        state, reason, message = said(pod(entry, limits={"memory": "2Gi"}))
        assert (state, reason) == ("failing", "OOMKilled")
        assert "more memory than its limit of 2Gi" in message


def test_out_of_memory_without_a_limit():
    assert "than its node could give" in said(pod(container(ended(137, "OOMKilled"))))[2]


def test_evicted():
    why = "The node was low on resource: memory."
    evicted = pod(phase="Failed", reason="Evicted", message=why)
    assert said(evicted) == ("failing", "Evicted", why)


def test_preempted():
    target = condition("DisruptionTarget", "True", "PreemptionByScheduler", "preempted for a higher priority")
    assert said(pod(RUNNING, conditions=[target]))[:2] == ("failing", "PreemptionByScheduler")


def test_failed_for_good():
    assert said(pod(container(ended(2)), phase="Failed")) == (
        "failing",
        "Error",
        "container worker has ended with exit code 2",
    )
    assert said(pod(phase="Failed"))[:2] == ("failing", "Failed")


def test_ended_without_an_error():
    assert said(pod(container(ended(0, "Completed")), phase="Succeeded"))[:2] == ("failing", "Completed")
    again = pod(container(ended(0, "Completed")), phase="Running")
    assert said(again)[:2] == ("progressing", "Completed")
    again["spec"]["restartPolicy"] = "Never"
    assert said(again)[:2] == ("failing", "Completed")


def test_container_creating():
    assert said(pod(waiting("ContainerCreating"))) == (
        "progressing",
        "ContainerCreating",
        "container worker is being started",
    )
    assert said(pod())[:2] == ("progressing", "ContainerCreating")


def test_image_is_being_pulled():
    assert said(pod(waiting("ContainerCreating")), event("Pulling", "Pulling image")) == (
        "progressing",
        "Pulling",
        "the image of container worker is being pulled: example.org/dask:1",
    )
    pulled = event("Pulled", "Successfully pulled", "2026-01-31T12:01:00Z")
    assert said(pod(waiting("ContainerCreating")), event("Pulling", "x"), pulled)[1] == "ContainerCreating"


def test_init_container_at_work_or_failing():
    at_work = container({"running": {}}, name="prepare")
    later = waiting("PodInitializing")
    assert said(pod(later, initContainerStatuses=[at_work]))[1] == "PodInitializing"
    failing = waiting("CrashLoopBackOff", name="prepare", lastState=ended(1))
    explained = explain_pod(pod(later, initContainerStatuses=[failing]))
    assert (explained.reason, explained.container) == ("CrashLoopBackOff", "prepare")
    done = container(ended(0, "Completed"), name="prepare")
    assert explain_pod(pod(waiting("ContainerCreating"), initContainerStatuses=[done])).container == "worker"


def test_running_but_not_ready():
    assert said(pod(RUNNING, phase="Running")) == (
        "progressing",
        "ContainersNotReady",
        "container worker runs but is not ready yet",
    )


def test_started_again():
    again = {**RUNNING, "restartCount": 1, "lastState": ended(1)}
    assert "started again after exit code 1" in said(pod(again, phase="Running"))[2]


def test_probe_fails_while_starting_and_after_a_restart():
    unhealthy = event("Unhealthy", "Startup probe failed: connection refused")
    starting = said(pod(RUNNING, phase="Running"), unhealthy)
    assert starting[:2] == ("progressing", "Unhealthy")
    assert starting[2].endswith("Startup probe failed: connection refused")
    assert said(pod({**RUNNING, "restartCount": 1}, phase="Running"), unhealthy)[0] == "failing"


def test_readiness_gate():
    gate = condition(
        "Ready", "False", "ReadinessGatesNotReady", 'the status of pod readiness gate "x" is not True'
    )
    running = {**RUNNING, "ready": True}
    assert said(pod(running, conditions=[gate]))[:2] == ("progressing", "ReadinessGatesNotReady")


def test_being_deleted():
    going = pod(RUNNING, conditions=[condition("Ready", "True")])
    going["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert said(going)[:2] == ("progressing", "Terminating")


def test_the_failing_container_is_told_of_before_one_that_is_only_starting():
    starting, failing = waiting("ContainerCreating"), waiting("ErrImagePull", "x", name="sidecar")
    assert explain_pod(pod(starting, failing)).container == "sidecar"


def test_events_of_others_and_of_an_earlier_pod_of_that_name_do_not_count():
    mine, newer = event("A", "x"), event("B", "x", "2026-01-31T12:05:00Z")
    others = [event("C", "x", uid="0"), event("D", "x", name="v", uid="2")]
    assert events_of(pod(), [newer, *others, mine]) == [mine, newer]
    series = {**mine, "series": {"lastObservedTime": "2026-01-31T13:00:00Z"}}
    assert events_of(pod(), [series, newer])[-1] is series


def ready_pod(name):
    return pod(RUNNING, conditions=[condition("Ready", "True")], name=name)


def test_group_that_is_complete():
    assert explain_group([ready_pod("a"), ready_pod("b")], 2) == Explanation("ready", "Ready", "2 of 2 ready")
    assert explain_group([], 0).state == "ready"


def test_group_says_the_most_frequent_cause():
    missing = [pod(waiting("ErrImagePull", "no"), name=name) for name in "bcd"]
    creating = [pod(waiting("ContainerCreating"), name=name) for name in "efgh"]
    explained = explain_group([ready_pod("a"), *missing, *creating], 8)
    assert (explained.state, explained.reason) == ("failing", "ErrImagePull")
    assert explained.message.startswith("1 of 8 ready; 3: the image of container worker cannot be had")


def test_group_whose_pods_are_not_made_yet():
    assert explain_group([ready_pod("a")], 3) == Explanation(
        "progressing", "Creating", "1 of 3 ready; Pods are being made"
    )


def test_row_54_group_that_a_quota_stops():
    refusal = 'pods "w" is forbidden: exceeded quota: team, used: gpu=4, limited: gpu=4'
    explained = explain_group([ready_pod("a")], 3, refusal=refusal)
    assert (explained.state, explained.reason) == ("failing", "QuotaExceeded")
    assert "exceeded quota: team" in explained.message
    assert explain_group([], 1, refusal="violates PodSecurity").reason == "CreateRefused"
