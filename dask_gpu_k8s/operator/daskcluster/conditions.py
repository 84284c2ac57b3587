"""DaskCluster: what holds of it, in words. Each function gives a condition's status, reason and message."""

from __future__ import annotations

from datetime import datetime

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.conditions import Said, told
from dask_gpu_k8s.api.explain import explain_pod
from dask_gpu_k8s.api.resources import BUDGET, SERVICE
from dask_gpu_k8s.api.security import wanted_secret
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.daskcluster.memory import FAILED, Memory, has_failed, is_lost
from dask_gpu_k8s.operator.daskcluster.observe import Observed, problem
from dask_gpu_k8s.operator.daskcluster.protection import wants_budget, wants_policy
from dask_gpu_k8s.operator.daskcluster.scheduler import blocking_finalizers, is_outdated
from dask_gpu_k8s.operator.daskcluster.services import REFUSED, is_refused
from dask_gpu_k8s.operator.engine.actions import Outcome, Patch, Retire, refusals
from dask_gpu_k8s.operator.engine.refusals import INVALID, reason_of
from dask_gpu_k8s.operator.objects.security import secret_of
from dask_gpu_k8s.operator.pods import is_ready, is_terminating


def accepted(seen: Observed, outcomes: list[Outcome]) -> Said:
    """Say whether the operator could make what the cluster asks for."""
    wrong = problem(seen.cluster)
    if wrong:
        return "False", INVALID, wrong
    for refusal in refusals(outcomes):
        if not _is_minor(refusal):
            return "False", reason_of(refusal), refusal.message
    old = told(seen.cluster, "Accepted")
    if seen.cooling and old.get("status") == "False":
        return "False", old["reason"], old.get("message", "")
    if seen.certificates and seen.certificates.hindrance:
        return "False", *seen.certificates.hindrance
    for part in seen.parts:
        if not seen.is_own(part) and not seen.is_leftover(part):
            text = f"{part['kind']} {part['metadata']['name']!r} exists and does not belong to this cluster."
            return "False", "NameTaken", text
    return "True", "Accepted", "The operator takes care of this cluster."


def scheduler_ready(seen: Observed) -> Said:
    """Say whether the scheduler is ready, and why not."""
    pod = seen.scheduler
    if pod is not None and (held := blocking_finalizers(pod)):
        return "False", "NameBlocked", _blocked(pod, held)
    if seen.is_suspended:
        return "False", "Suspended", "The cluster is suspended: spec.suspend is true."
    if pod is None:
        return "False", "SchedulerMissing", "The scheduler Pod is not there yet."
    if not seen.is_own(pod):
        return "False", "SchedulerMissing", "Another Pod still has the scheduler's name."
    if is_terminating(pod):
        return "False", "SchedulerTerminating", "The scheduler Pod is being deleted."
    if is_ready(pod):
        return "True", "SchedulerReady", "The scheduler Pod is ready."
    why = explain_pod(pod)
    return "False", why.reason, f"The scheduler Pod is not ready: {why.message}"


def scheduler_lost(seen: Observed, memory: Memory) -> Said | None:
    """Say whether the scheduler was lost; nothing as long as it never was started again."""
    if has_failed(seen):
        name = seen.cluster["metadata"]["name"]
        return (
            "True",
            FAILED,
            "The scheduler was lost and its results with it. spec.scheduler.lossPolicy is Fail, so nothing "
            "is made again until the spec is edited, e.g. by kubectl patch daskcluster "
            f'{name} --type=merge -p \'{{"spec": {{"scheduler": {{"lossPolicy": "Restart"}}}}}}\'',
        )
    is_back = scheduler_ready(seen)[0] == "True"
    # Until the next one is ready, also when its Pod is there already.
    is_going_on = told(seen.cluster, "SchedulerLost").get("reason") == "Replacing"
    if (is_lost(seen) or is_going_on) and not is_back and not seen.is_suspended:
        return "True", "Replacing", "The scheduler was lost; a new one comes, without its results."
    if memory.total:
        times = "once" if memory.total == 1 else f"{memory.total} times"
        return "False", "StartedAgain", f"The scheduler was started again {times}, without earlier results."
    return None


def workers_ready(seen: Observed, ready: int, desired: int) -> Said:
    """Say whether all workers are ready, and why not, in the words of the groups."""
    if seen.are_workers_suspended:
        return "False", "Suspended", "The workers are suspended."
    text = f"{ready} of {desired} workers are ready."
    if not (seen.is_own(seen.default_group) and all(map(_is_counted, seen.groups))):
        return "False", "WorkersPending", "The workers are not counted yet."
    if ready >= desired:
        return "True", "WorkersReady", text
    for group in seen.groups:
        why = told(group, "Ready")
        if why.get("status") == "False":
            return "False", why["reason"], f"{text} {group['metadata']['name']}: {why.get('message', '')}"
    return "False", "WorkersPending", text


def suspended(seen: Observed) -> Said | None:
    """Say whether the cluster, or its workers, are suspended; nothing if they never were."""
    if not seen.are_workers_suspended:
        return ("False", "Resumed", "Neither cluster nor workers are suspended.") if _was(seen) else None
    left = seen.workers_left + (seen.is_suspended and seen.is_own(seen.scheduler))
    if left:
        return "False", "Suspending", f"{left} Pods have yet to end."
    if seen.is_suspended:
        return "True", "Suspended", "There is no Pod of this cluster: spec.suspend is true."
    return (
        "True",
        "WorkersSuspended",
        "There are no workers: spec.suspendWorkers is true. The scheduler stays.",
    )


def up_to_date(seen: Observed, outcomes: list[Outcome]) -> Said:
    """Say whether the scheduler and its Services are as the spec has them now."""
    refused = [each for each in refusals(outcomes) if _is_service_edit(each)]
    if refused:
        return "False", REFUSED, f"{refused[0].message} Delete the Service: it is then made as it should be."
    if is_refused(seen.cluster):
        old = told(seen.cluster, "UpToDate")
        return "False", REFUSED, old.get("message", "")
    if is_outdated(seen):
        assert seen.scheduler is not None
        name = seen.scheduler["metadata"]["name"]
        return (
            "False",
            "SchedulerOutdated",
            "The scheduler still runs as its template was before, because results would be lost with it. "
            f"kubectl delete pod {name} replaces it, and so does updateStrategy.type Recreate.",
        )
    return "True", "UpToDate", "Scheduler and Services are as the spec says."


def scheduler_protected(seen: Observed, outcomes: list[Outcome]) -> Said:
    """Say whether a PodDisruptionBudget spares the scheduler."""
    if not wants_budget(seen.cluster):
        return (
            "False",
            "OptedOut",
            "Evictions end the scheduler: spec.scheduler.podDisruptionBudget is false.",
        )
    name = names.scheduler(seen.cluster["metadata"]["name"])
    for refusal in refusals(outcomes):
        if not isinstance(refusal.action, Retire) and refusal.action.resource == BUDGET:
            return "False", refusal.reason, f"PodDisruptionBudget {name} cannot be made: {refusal.message}"
    if seen.is_own(seen.budget):
        return "True", "PodDisruptionBudget", f"Evictions spare the scheduler: PodDisruptionBudget {name}."
    old = told(seen.cluster, "SchedulerProtected")
    if seen.cooling and old.get("status") == "False":
        return "False", old["reason"], old.get("message", "")
    return "False", "BudgetMissing", f"PodDisruptionBudget {name} is not there yet."


def network_restricted(seen: Observed) -> Said | None:
    """Say whether a NetworkPolicy closes the cluster; nothing if nobody ever asked for that."""
    if not wants_policy(seen.cluster):
        is_told = bool(told(seen.cluster, "NetworkRestricted"))
        return ("False", "Open", "Whoever may reach Pods may reach this cluster's.") if is_told else None
    if not seen.is_own(seen.policy):
        return "False", "PolicyMissing", "The NetworkPolicy is not there yet."
    return (
        "True",
        "NetworkPolicy",
        "Only the cluster's own Pods, the operator and networkPolicyFrom may reach its Pods, where the "
        "network enforces NetworkPolicies.",
    )


def secured(seen: Observed, now: datetime) -> Said | None:
    """Say whether the cluster speaks TLS, and until when it can; nothing if nobody ever asked for that."""
    if seen.certificates is None and not told(seen.cluster, "Secured"):
        return None
    pod = seen.scheduler if seen.is_own(seen.scheduler) else None
    if pod is not None and secret_of(pod) != wanted_secret(seen.cluster):
        name = pod["metadata"]["name"]
        return (
            "False",
            "SchedulerOutdated",
            "The scheduler still speaks as spec.security was before, and everybody with it. "
            f"kubectl delete pod {name} makes it anew, without its results.",
        )
    if seen.certificates is None:
        return "False", "NotAsked", "spec.security is not true."
    return seen.certificates.told(now)


def _blocked(pod: Manifest, finalizers: list[str]) -> str:
    meta = pod["metadata"]
    return (
        f"Pod {meta['name']} has ended, but its name is kept by the finalizers {', '.join(finalizers)}. "
        "Whoever put them there has to take them off; if nobody does: kubectl patch pod "
        f'{meta["name"]} -n {meta["namespace"]} --type=merge -p \'{{"metadata": {{"finalizers": null}}}}\''
    )


def _is_minor(refusal: Outcome) -> bool:
    """Say whether a refusal is told of elsewhere, because the cluster works all the same."""
    action = refusal.action
    return _is_service_edit(refusal) or (not isinstance(action, Retire) and action.resource == BUDGET)


def _is_service_edit(refusal: Outcome) -> bool:
    return isinstance(refusal.action, Patch) and refusal.action.resource == SERVICE


def _was(seen: Observed) -> bool:
    return bool(told(seen.cluster, "Suspended"))


def _is_counted(group: Manifest) -> bool:
    """Say whether a group's status speaks of the number of workers that is asked for now."""
    observed = (group.get("status") or {}).get("observedGeneration")
    return bool(observed == group["metadata"].get("generation"))
