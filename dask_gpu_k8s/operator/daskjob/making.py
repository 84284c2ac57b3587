"""DaskJob: what is there of an attempt after acting, and what holds up one whose runner does not run yet."""

from __future__ import annotations

from dataclasses import replace

from dask_gpu_k8s.api.conditions import told
from dask_gpu_k8s.api.explain import explain_pod
from dask_gpu_k8s.api.resources import DASKCLUSTER, POD, Resource
from dask_gpu_k8s.operator.daskjob.observe import CLUSTER_CREATED, CREATED, Observed
from dask_gpu_k8s.operator.daskjob.progress import Progress, is_turn
from dask_gpu_k8s.operator.daskjob.runner import own_view
from dask_gpu_k8s.operator.engine.actions import Create, Outcome, refusals
from dask_gpu_k8s.operator.engine.refusals import reason_of
from dask_gpu_k8s.operator.objects.jobs import is_sidecar
from dask_gpu_k8s.operator.pods import is_terminating, is_worker


def has_cluster(seen: Observed, outcomes: list[Outcome]) -> bool:
    """Say whether the attempt's cluster is there."""
    return seen.present(seen.cluster) is not None or _made(outcomes, DASKCLUSTER)


def has_runner(seen: Observed, outcomes: list[Outcome]) -> bool:
    """Say whether the Pod that the attempt's runner is in is there."""
    return seen.present(seen.runner) is not None or _made(outcomes, POD)


def explained(seen: Observed, step: Progress, outcomes: list[Outcome]) -> Progress:
    """Add to a step what was made just now, and why the runner does not run yet."""
    if is_turn(seen, step) or step.state not in (CREATED, CLUSTER_CREATED):
        return step
    if has_cluster(seen, outcomes) and (is_sidecar(seen.job) or has_runner(seen, outcomes)):
        step = replace(step, state=CLUSTER_CREATED)
    reason, message = _why_not_yet(seen, step.state, outcomes)
    return replace(step, reason=reason, message=message)


def _why_not_yet(seen: Observed, state: str, outcomes: list[Outcome]) -> tuple[str, str]:
    for refusal in refusals(outcomes):
        return reason_of(refusal), refusal.message
    if seen.cooling:
        return seen.said
    if seen.outdated or (seen.in_the_way and state == CREATED):
        return "CleaningUp", f"Waits until {_blocker(seen)}, left from before, is gone."
    accepted = told(seen.cluster, "Accepted")
    if accepted.get("status") == "False":
        return str(accepted.get("reason")), f"Of the cluster: {accepted.get('message')}"
    runner = seen.present(seen.runner)
    if runner is not None and not is_terminating(runner):
        why = explain_pod(own_view(seen.job, runner))
        return why.reason, f"The runner Pod {why.message}."
    return "Creating", "The cluster and the runner are being made."


def _blocker(seen: Observed) -> str:
    """Name one thing that has yet to go; of many workers none, for it would be another one each time."""
    left = seen.outdated or seen.in_the_way
    named = sorted(f"{each['kind']} {each['metadata']['name']}" for each in left if not is_worker(each))
    return named[0] if named else "the last worker"


def _made(outcomes: list[Outcome], resource: Resource) -> bool:
    return any(
        isinstance(each.action, Create) and each.action.resource == resource and each.state == "done"
        for each in outcomes
    )
