"""The fields of DaskCluster, DaskWorkerGroup, DaskJob and DaskAutoscaler, written as schemas.

The same fields, required fields and defaults as dask-kubernetes has, so that its users' manifests apply;
what Pods and Services look like is taken from Kubernetes itself.
"""

from __future__ import annotations

import copy
from typing import Any

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.builtin import definition
from dask_gpu_k8s.api.quantity import QUANTITY_PATTERN
from dask_gpu_k8s.api.types import Manifest

_INT_OR_STRING = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}
_NOT_IN_CRDS = ("x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy")


def text(description: str | None = None, **more: Any) -> Manifest:
    """Describe a string."""
    return _described({"type": "string", **more}, description)


def count(description: str | None = None, **more: Any) -> Manifest:
    """Describe a whole number that is not negative; as seconds, no more than some 68 years."""
    return _described({"type": "integer", "minimum": 0, "maximum": 2**31 - 1, **more}, description)


def moment(description: str | None = None) -> Manifest:
    """Describe a time that may be null."""
    return text(description, format="date-time", nullable=True)


def flag(description: str | None = None) -> Manifest:
    """Describe a yes or no. It has no default: what is not given stays out of people's manifests."""
    return _described({"type": "boolean"}, description)


def fields(
    properties: Manifest, *, required: tuple[str, ...] = (), description: str | None = None
) -> Manifest:
    """Describe an object."""
    schema: Manifest = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return _described(schema, description)


def _described(schema: Manifest, description: str | None) -> Manifest:
    return {"description": description, **schema} if description else schema


def for_crd(schema: Any) -> Any:
    """Copy a schema of Kubernetes' own into the form that a CRD may have."""
    if isinstance(schema, list):
        return [for_crd(item) for item in schema]
    if not isinstance(schema, dict):
        return copy.copy(schema)
    if schema.get("pattern") == QUANTITY_PATTERN:
        return {**copy.deepcopy(_INT_OR_STRING), "pattern": QUANTITY_PATTERN}
    if schema.get("x-kubernetes-int-or-string"):
        return copy.deepcopy(_INT_OR_STRING)
    if "managedFields" in schema.get("properties", {}):
        return metadata()
    return {key: for_crd(value) for key, value in schema.items() if key not in _NOT_IN_CRDS}


def metadata() -> Manifest:
    """Describe a template's metadata: labels and annotations, and the null that Go programs write."""
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    return fields(
        {"annotations": texts, "creationTimestamp": moment(), "labels": copy.deepcopy(texts)},
        description="Labels and annotations for the objects made from this.",
    )


def pod_spec() -> Manifest:
    """Describe a Pod's spec; nothing in it has a default that Kubernetes would not give the Pod."""
    spec: Manifest = for_crd(definition("PodSpec"))
    return _described(spec, "The Pod, as in Kubernetes.")


def _cluster_spec() -> Manifest:
    service = _described(for_crd(definition("ServiceSpec")), "The scheduler's Service, as in Kubernetes.")
    scheduler = fields(
        {
            "metadata": metadata(),
            "service": service,
            "spec": pod_spec(),
            "podDisruptionBudget": flag("Whether evictions spare the scheduler's Pod; by default they do."),
            "lossPolicy": text(
                "What becomes of the cluster when its scheduler is lost: Restart (the default) makes a new "
                "one, which knows nothing of earlier results; Fail leaves it to people.",
                enum=["Restart", "Fail"],
            ),
        },
        required=("spec", "service"),
        description="The scheduler's Pod and Service.",
    )
    return fields(
        {
            "idleTimeout": count(
                "Seconds without work after which the cluster is deleted; 0: never.", default=0
            ),
            "idleRespectsClients": flag("Whether a connected client counts as work. By default it does not."),
            "idleRespectsData": flag("Whether results kept in memory count as work. By default they do not."),
            "ttl": count(
                "Seconds after which the cluster is deleted unless a client renews its Lease; 0: never."
            ),
            "suspend": flag("While true, there is no Pod of this cluster at all; results are lost."),
            "suspendWorkers": flag(
                "While true, there are no workers; the scheduler and its clients stay. Results are computed "
                "again when they are asked for, and what was only scattered is lost."
            ),
            "updateStrategy": _update_strategy(),
            "drainTimeout": _drain_timeout(),
            "security": flag(
                "Whether scheduler, workers and clients speak TLS, with certificates of their own."
            ),
            "securitySecret": text(
                "Name of a Secret with ca.crt, tls.crt and tls.key to use in place of certificates that the "
                "operator makes and renews.",
                minLength=1,
                maxLength=253,
            ),
            "networkPolicy": flag(
                "Whether only the cluster's own Pods, the operator and networkPolicyFrom may reach its Pods; "
                "who may be reached stays as it is."
            ),
            "networkPolicyFrom": _described(
                {"type": "array", "items": for_crd(definition("NetworkPolicyPeer"))},
                "Who else may reach the cluster's Pods where networkPolicy is true, as in a NetworkPolicy.",
            ),
            "scheduler": scheduler,
            "worker": _worker("The workers of the default group."),
        },
        required=("scheduler", "worker"),
    )


def _update_strategy() -> Manifest:
    return fields(
        {
            "type": text(
                "What becomes of running Pods when their template changes. Rolling (the default): workers "
                "are retired and replaced a few at a time, the scheduler stays; Recreate: all at once, the "
                "scheduler too; None: only Pods made later are of the new kind.",
                enum=["None", "Recreate", "Rolling"],
            ),
            "maxUnavailable": _described(
                {**copy.deepcopy(_INT_OR_STRING), "pattern": r"^[0-9]+%?$"},
                "How many workers of a group Rolling replaces at once: a number or a share such as 25% "
                "(the default), and at least 1.",
            ),
        }
    )


def _drain_timeout() -> Manifest:
    return count(
        "Seconds that workers get to hand over the only copy of results before they go without, where all "
        "of them have to go: scale to 0, rollout, suspend. By default 60."
    )


def _worker(description: str) -> Manifest:
    return fields(
        {
            "metadata": metadata(),
            "replicas": count("How many workers there should be.", default=1),
            "spec": pod_spec(),
        },
        required=("spec",),
        description=description,
    )


def _resource(description: str, spec: Manifest, status: Manifest, name: Manifest | None = None) -> Manifest:
    # metadata.name is the only thing that a CRD may say about metadata.
    own = fields({"name": name}) if name else {"type": "object"}
    return fields(
        {"apiVersion": text(), "kind": text(), "metadata": own, "spec": spec, "status": status},
        required=("spec",),
        description=description,
    )


def _short_name() -> Manifest:
    return text(maxLength=names.MAX_CLUSTER_NAME, pattern=names.CLUSTER_NAME_PATTERN)


def _conditions() -> Manifest:
    condition = fields(
        {
            "lastTransitionTime": text(format="date-time"),
            "message": text(),
            "observedGeneration": {"type": "integer", "format": "int64"},
            "reason": text(),
            "status": text(),
            "type": text(),
        },
        required=("type", "status"),
    )
    return {
        "type": "array",
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }


def _status(**own: Manifest) -> Manifest:
    generation = _described(
        {"type": "integer", "format": "int64"}, "metadata.generation that this status was made from."
    )
    return fields({"conditions": _conditions(), "observedGeneration": generation, **own})


def cluster() -> Manifest:
    """Describe DaskCluster."""
    return _resource(
        "A Dask scheduler with its workers.",
        _cluster_spec(),
        _status(
            phase=text("Created, Pending, Running, Suspending, Suspended, Failed or Error."),
            replicas=count("Worker Pods of the default group."),
            selector=text("Label selector of the default group's Pods."),
            desiredWorkers=count("Workers asked for, all groups together."),
            readyWorkers=count("Workers that are ready, all groups together."),
            pendingWorkers=count("Workers asked for and not ready, all groups together."),
            unschedulableWorkers=count("Workers that fit on no node, all groups together."),
            defaultGroupReplicas=count("spec.worker.replicas as last passed to the default group."),
            schedulerRestarts=count("How often the scheduler was lost and came back."),
            idleSince=moment("Since when the scheduler is known to be without work."),
            idleMark=text("What the scheduler said then; another answer means that there was work."),
            schedulerPod=fields(
                {
                    "uid": text("Of the scheduler Pod seen last."),
                    "restartsBefore": count("schedulerRestarts before that Pod was there."),
                    "wasReady": flag("Whether that Pod was ever ready."),
                    "restartsWhenReady": count("schedulerRestarts when it was last known to be ready."),
                },
                description="What the operator remembers in order to notice the loss of a scheduler.",
            ),
            schedulerAddress=text("Where clients within Kubernetes find the scheduler."),
            securitySecret=text("The Secret by which the scheduler speaks TLS; empty if it no longer does."),
        ),
        _short_name(),
    )


def worker_group() -> Manifest:
    """Describe DaskWorkerGroup."""
    spec = fields(
        {
            "cluster": text("Name of the DaskCluster, in the same namespace."),
            "worker": _worker("The group's workers."),
            # Where they are not given here, the cluster's hold.
            "updateStrategy": _update_strategy(),
            "drainTimeout": _drain_timeout(),
        },
        required=("cluster", "worker"),
    )
    status = _status(
        phase=text("Pending, Running or Suspended."),
        replicas=count("Worker Pods that exist and are to stay."),
        desiredReplicas=count("Workers asked for now; none while the cluster is suspended."),
        readyReplicas=count("Workers that are ready."),
        pendingReplicas=count("Workers asked for and not ready."),
        unschedulableReplicas=count("Those of them whose Pods fit on no node."),
        updatedReplicas=count("Worker Pods that are made from the present template."),
        selector=text("Label selector of the Pods."),
        counter=count("How many worker names were ever given out."),
        frozenBy=_described(
            {"type": "array", "items": text()},
            "Who keeps the workers as they are, by annotations of the cluster, once none is on its way out.",
        ),
    )
    name = text(maxLength=names.MAX_WORKER_GROUP_NAME)
    return _resource("Workers of one kind, of one Dask cluster.", spec, status, name)


def job() -> Manifest:
    """Describe DaskJob."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = fields(
        {
            "cluster": fields(
                # Go programs that fill in a whole DaskCluster write an empty status too.
                {"metadata": metadata(), "spec": _cluster_spec(), "status": anything},
                required=("spec",),
                description="The DaskCluster made for this job; its name is the job's.",
            ),
            "job": fields(
                {"metadata": metadata(), "spec": pod_spec()}, required=("spec",), description="The runner."
            ),
            "suspend": flag("While true, there is no Pod of this job at all."),
            "backoffLimit": count(
                "How often a failed runner is tried again, on a cluster of its own; by default 0."
            ),
            "activeDeadlineSeconds": count(
                "Seconds from its start, all retries included, after which the job has failed.", minimum=1
            ),
            "startDeadlineSeconds": count(
                "Seconds after which a job whose runner is not running yet has failed: from its creation, "
                "its resumption or the failure of the runner before.",
                minimum=1,
            ),
            "ttlSecondsAfterFinished": count("Seconds after its end until the job itself is deleted."),
            "deletionPolicy": _deletion_policy(),
            "submissionMode": text(
                "Where the runner runs: in a Pod of its own (Pod, the default) or beside the scheduler in "
                "its Pod (Sidecar).",
                enum=["Pod", "Sidecar"],
            ),
        },
        required=("cluster", "job"),
    )
    status = _status(
        attempt=count("Number of the present attempt: runners that failed and suspensions so far."),
        attemptTime=moment("Since when the present attempt has been under way."),
        clusterName=text(nullable=True),
        endTime=moment("When the runner had ended."),
        failed=count("Runners that have failed."),
        jobRunnerPodName=text(nullable=True),
        jobStatus=text(
            "JobCreated, ClusterCreated, Running, Successful, Failed or Suspended.", nullable=True
        ),
        message=text("Why, for people."),
        reason=text("Why, in one word."),
        startTime=moment("When the first runner was started."),
    )
    return _resource("A program and the Dask cluster that it runs on.", spec, status, _short_name())


def _deletion_policy() -> Manifest:
    def rule(when: str) -> Manifest:
        return text(
            f"What goes when the job has {when}: Cluster (the default), only the Workers, so that the "
            "scheduler can be looked at, or None.",
            enum=["Cluster", "Workers", "None"],
        )

    return fields({"onSuccess": rule("succeeded"), "onFailure": rule("failed")})


def autoscaler() -> Manifest:
    """Describe DaskAutoscaler."""
    spec = fields(
        {
            "cluster": text("Name of the DaskCluster, in the same namespace."),
            "maximum": count("The most workers that there may be."),
            "minimum": count("The fewest workers that there may be."),
            "workerGroup": text(
                "Name of the DaskWorkerGroup; by default the cluster's own, <cluster>-default."
            ),
            "priority": _described(
                {"type": "integer"},
                "Of several groups that could do the work, the one with the lowest number grows first and "
                "shrinks last; by default 0.",
            ),
            "resources": _described(
                {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
                "Dask resources that one worker of the group offers, e.g. GPU: 1. By default they are read "
                "from its command.",
            ),
            "scaleUp": _window("grows: for so long the wish must hold", "0"),
            "scaleDown": _window("shrinks: the highest wish of so long counts", "60"),
        },
        required=("cluster", "minimum", "maximum"),
    )
    status = _status(
        workerGroup=text("Name of the DaskWorkerGroup."),
        desiredReplicas=count(
            "How many workers the group is to have; the group goes by this, not by its own replicas."
        ),
        lastScaleTime=moment("When that last changed."),
    )
    return _resource("Bounds between which a Dask cluster grows and shrinks by itself.", spec, status)


def _window(what: str, default: str) -> Manifest:
    seconds = count(f"Seconds before the group {what}; by default {default}.")
    return fields({"stabilizationWindowSeconds": seconds})
