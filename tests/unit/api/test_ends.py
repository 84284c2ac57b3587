"""How a Pod came to its end, as its status says."""

from __future__ import annotations

from dask_gpu_k8s.api.ends import blame, find_end

RUNNING = {"running": {}}


def pod(state=None, last=None, conditions=(), deleted=None, **status):
    entry = {"name": "worker", "state": state or RUNNING, "lastState": last or {}}
    gone = {"deletionTimestamp": deleted, "deletionGracePeriodSeconds": 20} if deleted else {}
    limits = {"limits": {"memory": "2Gi"}}
    return {
        "metadata": {"name": "w", "namespace": "default", **gone},
        "spec": {"nodeName": "n1", "containers": [{"name": "worker", "resources": limits}]},
        "status": {"containerStatuses": [entry], "conditions": list(conditions), **status},
    }


def ended(code, reason="Error", message="", at="2026-01-31T12:00:00Z"):
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": at}}


def said(pod_):
    return str(find_end(pod_, "worker"))


def test_one_that_runs_has_no_end():
    assert find_end(pod(), "worker") is None


def test_an_exit_code_and_the_last_line():
    crashed = ended(3, message="Traceback …\nValueError: no\n")
    for seen in (pod(crashed), pod(RUNNING, crashed)):
        end = find_end(seen, "worker")
        assert str(end) == (
            "Pod w on node n1: Error: container worker has ended with exit code 3: ValueError: no"
        )
        assert (end.exit_code, end.line, end.is_trouble) == (3, "ValueError: no", True)


def test_an_oom_kill():
    assert said(pod(ended(137, "OOMKilled", "loading\n"))) == (
        "Pod w on node n1: OOMKilled: container worker was killed because it needed more memory than its "
        "limit of 2Gi. Its last line: loading"
    )


def test_an_end_without_an_error_is_no_trouble():
    assert not find_end(pod(ended(0, "Completed")), "worker").is_trouble


def test_an_eviction_by_its_node():
    disrupted = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
    }
    why = "The node was low on resource: memory"
    evicted = pod(ended(137), conditions=[disrupted], phase="Failed", reason="Evicted", message=why)
    assert said(evicted) == f"Pod w on node n1: Evicted: {why}"


def test_a_preemption():
    why = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "why"}
    end = find_end(pod(conditions=[why], deleted="2026-01-31T12:00:20Z"), "worker")
    assert (end.reason, end.message, end.is_of_pod, end.is_trouble) == (
        "PreemptionByScheduler",
        "why",
        True,
        True,
    )


def test_an_eviction_of_which_only_an_event_knows():
    """A worker that is drained ends well, and its Pod may be gone before the kubelet says more."""
    end = find_end(pod(ended(0, "Completed")), "worker")
    events = [{"reason": "Evicted", "message": "The node was low on memory. "}, {"reason": "Killing"}]
    assert str(blame(end, events)) == "Pod w on node n1: Evicted: The node was low on memory"
    assert blame(end, events).is_trouble
    assert blame(end, events[1:]) is end


def test_what_ended_before_its_pod_was_deleted_did_not_end_by_that():
    """The time of deletion is when the grace ends, 20 s after somebody asked for it."""
    deleted = "2026-01-31T12:00:25Z"
    assert find_end(pod(ended(137, "OOMKilled"), deleted=deleted), "worker").reason == "OOMKilled"
    after = ended(143, at="2026-01-31T12:00:06Z")
    assert find_end(pod(after, deleted=deleted), "worker").reason == "Deleted"
    assert find_end(pod(RUNNING, ended(137, "OOMKilled"), deleted=deleted), "worker").reason == "Deleted"
