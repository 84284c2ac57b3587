"""The conditions of a DaskWorkerGroup, each a state, a word and a sentence."""

from __future__ import annotations

from dask_gpu_k8s.api.conditions import Said, told
from dask_gpu_k8s.api.explain import explain_group
from dask_gpu_k8s.operator.engine.actions import Create, Outcome, refusals
from dask_gpu_k8s.operator.engine.refusals import INVALID, NAMESPACE_TERMINATING
from dask_gpu_k8s.operator.pods import is_marked, is_terminating
from dask_gpu_k8s.operator.workergroup.observe import Observed
from dask_gpu_k8s.operator.workergroup.rollout import strategy_of


def ready(seen: Observed, outcomes: list[Outcome]) -> Said:
    """Say whether there are as many workers as asked for, and if not, why."""
    name = seen.group["spec"]["cluster"]
    if seen.cluster is None:
        return "False", "ClusterNotFound", f"There is no DaskCluster {name!r} in this namespace."
    if seen.is_paused:
        return (
            "False",
            "Suspended",
            "The cluster has no workers for now: it asks for that by spec.suspend"
            + ("." if seen.is_suspended else "Workers."),
        )
    refused = [outcome for outcome in refusals(outcomes) if isinstance(outcome.action, Create)]
    if refused:
        return _refused(seen, refused[0])
    old = told(seen.group, "Ready")
    if seen.cooling and old.get("status") == "False":
        return "False", old["reason"], old.get("message", "")
    if seen.ready >= seen.desired:
        return "True", "WorkersReady", f"{seen.ready} of {seen.desired} workers are ready."
    if seen.is_frozen and len(seen.counted) < seen.desired:
        return "False", "Frozen", f"{seen.ready} of {seen.desired} ready; {_frozen(seen)}"
    if seen.awaits_scheduler and len(seen.counted) < seen.desired:
        text = f"{seen.ready} of {seen.desired} ready; more come with the scheduler's Pod."
        return "False", "AwaitsScheduler", text
    why = explain_group([each.pod for each in seen.counted], seen.desired)
    return "False", why.reason, why.message


def _refused(seen: Observed, refusal: Outcome) -> Said:
    if refusal.reason == NAMESPACE_TERMINATING:
        return "False", refusal.reason, refusal.message
    assert isinstance(refusal.action, Create)
    # Without the Pod's name: it would be another one, and a write, each time.
    message = refusal.message.replace(refusal.action.body["metadata"]["name"], "worker")
    if refusal.reason == INVALID:
        return "False", INVALID, message
    why = explain_group([each.pod for each in seen.counted], seen.desired, refusal=message)
    return "False", why.reason, why.message


def scaling_down(seen: Observed, outcomes: list[Outcome]) -> Said:
    """Say whether workers are to go, and what holds them."""
    kept = [pod for outcome in outcomes for pod in outcome.kept]
    excess = len(seen.leaving) + max(0, len(seen.counted) - seen.desired)
    ending = sum(is_marked(each.pod) and is_terminating(each.pod) for each in seen.candidates)
    if not excess:
        if ending:
            return "True", "Ending", f"{ending} workers are ending."
        return "False", "Settled", "No worker is to go."
    if seen.is_frozen and seen.is_still:
        return "True", "Frozen", f"{excess} workers are to go later: {_frozen(seen)}"
    if seen.unreachable:
        return (
            "True",
            "SchedulerUnreachable",
            f"{excess} workers are to go, but only the scheduler can move their data away and it does not "
            f"answer: {seen.unreachable}",
        )
    unknown = sum(not each.workers and not each.is_spare for each in seen.leaving) if seen.strangers else 0
    if unknown:
        return (
            "True",
            "WorkersUnknown",
            f"{unknown} workers stay for now: the scheduler knows workers that have neither a Pod's name nor "
            "its address, so it cannot be told which hold data. Start them with --name $(DASK_WORKER_NAME).",
        )
    if kept:
        return (
            "True",
            "DataCannotMove",
            f"{len(kept)} workers stay for now: they hold the only copy of results, and none can take it.",
        )
    return "True", "Retiring", f"{excess} workers are to go."


def up_to_date(seen: Observed) -> Said:
    """Say whether all workers are made from the present template."""
    old, all_of_them = len(seen.outdated), len(seen.counted)
    if not old:
        return "True", "UpToDate", "All workers are made from the present template."
    text = f"{old} of {all_of_them} workers are made from an earlier template"
    if seen.cluster is not None and strategy_of(seen.group, seen.cluster).type == "None":
        return "False", "UpdateStrategyNone", f"{text} and stay: updateStrategy is None."
    if seen.is_frozen:
        return "False", "Frozen", f"{text} and stay for now: {_frozen(seen)}"
    if seen.unreachable:
        return "False", "SchedulerUnreachable", f"{text}; the scheduler does not answer: {seen.unreachable}"
    return "False", "RollingOut", f"{text} and are being replaced."


def _frozen(seen: Observed) -> str:
    return f"the workers are kept as they are by {', '.join(seen.frozen_by)} (annotations of the cluster)."
