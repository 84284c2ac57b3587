"""How a job's runner does, by what its Pod says.

The containers of ``spec.job`` alone decide: others in the Pod, a mesh's proxy or in Sidecar mode the
scheduler, would keep it from ever ending.
"""

from __future__ import annotations

from dataclasses import dataclass

from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.explain import explain_pod
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.jobs import is_sidecar, runner_restart_policy
from dask_gpu_k8s.operator.pods import container_restarts, has_started, is_finished


@dataclass(frozen=True)
class End:
    """How a runner has ended.

    Attributes
    ----------
    is_good : bool
    reason : str
        One word.
    message : str
        A sentence.
    """

    is_good: bool
    reason: str
    message: str


LOST = End(False, "RunnerLost", "The runner Pod has vanished while it was running.")
_GOOD = End(True, "Succeeded", "The runner has ended well.")


def own_view(job: Manifest, pod: Manifest) -> Manifest:
    """Return a runner's Pod as if it had no containers but those of ``spec.job``."""
    status = pod.get("status") or {}
    own = _own_names(job)
    statuses = [each for each in status.get("containerStatuses") or () if each["name"] in own]
    return {**pod, "status": {**status, "containerStatuses": statuses}}


def has_begun(job: Manifest, pod: Manifest) -> bool:
    """Say whether the runner runs, or has run."""
    phase = (pod.get("status") or {}).get("phase")
    return has_started(own_view(job, pod)) or (phase == "Running" and not is_sidecar(job))


def is_at_work(job: Manifest, pod: Manifest) -> bool:
    """Say whether anything of the runner runs or may still run."""
    if is_finished(pod):
        return False
    statuses = own_view(job, pod)["status"]["containerStatuses"]
    final = runner_restart_policy(job) == "Never"
    return not (final and statuses and all(_terminated(each) for each in statuses))


def end_of(job: Manifest, pod: Manifest) -> End | None:
    """Say how a runner has ended; nothing while it has not."""
    view = own_view(job, pod)
    ends = [_terminated(each) for each in view["status"]["containerStatuses"]]
    has_ended = bool(ends) and all(ends)
    failed = any(end and end.get("exitCode") for end in ends)
    phase = view["status"].get("phase")
    policy = runner_restart_policy(job)
    # With a reason of its own the Pod was ended by its node: a program may answer SIGTERM with exit code 0.
    cut_short = phase == "Failed" and view["status"].get("reason")
    is_final = policy != "Always" or phase == "Failed"
    if phase == "Succeeded" or (has_ended and not failed and is_final and not cut_short):
        return _GOOD
    if phase == "Failed" or (has_ended and policy == "Never"):
        return _failed(view)
    return _scheduler_ended(job, pod)


def failures_in_place(job: Manifest, pod: Manifest) -> int:
    """Return how often its containers have been started again, which the Pod's own policy may do."""
    return sum(container_restarts(pod, name) for name in _own_names(job))


def _failed(view: Manifest) -> End:
    kept = {key: value for key, value in view["metadata"].items() if key != "deletionTimestamp"}
    why = explain_pod({**view, "metadata": kept})
    reason = "RunnerFailed" if why.reason in ("Error", "Failed") else why.reason
    return End(False, reason, f"The runner has failed: {why.message}.")


def scheduler_lost(job: Manifest, cluster: Manifest | None) -> End | None:
    """Say whether a cluster will not make again the scheduler's Pod that the runner was in."""
    if is_sidecar(job) and told(cluster, "SchedulerLost").get("status") == "True":
        return End(False, "SchedulerLost", "The scheduler's Pod, with the runner in it, was lost.")
    return None


def _scheduler_ended(job: Manifest, pod: Manifest) -> End | None:
    """Notice that the scheduler has ended beside a runner that goes on: nothing starts it again there."""
    if not is_sidecar(job) or runner_restart_policy(job) != "Never":
        return None
    beside = {each["name"] for each in job["spec"]["cluster"]["spec"]["scheduler"]["spec"]["containers"]}
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    if any(_terminated(each) for each in statuses if each["name"] in beside):
        return End(False, "SchedulerLost", "The scheduler beside the runner has ended before it.")
    return None


def _own_names(job: Manifest) -> set[str]:
    return {each["name"] for each in job["spec"]["job"]["spec"].get("containers") or ()}


def _terminated(status: Manifest) -> Manifest | None:
    ended: Manifest | None = (status.get("state") or {}).get("terminated")
    return ended
