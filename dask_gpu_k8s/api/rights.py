"""Who may do what: the operator's rules, as few as it needs, and those for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dask_gpu_k8s.api.resources import (
    BUDGET,
    DASK_RESOURCES,
    DASKAUTOSCALER,
    DASKCLUSTER,
    DASKJOB,
    DASKWORKERGROUP,
    DEPLOYMENT,
    EVENT,
    GROUP,
    LEASE,
    NETWORKPOLICY,
    NODE,
    OWNERS,
    POD,
    REPLICASET,
    SECRET,
    SERVICE,
)
from dask_gpu_k8s.api.types import Manifest


@dataclass(frozen=True)
class Rule:
    """One entry of a role.

    Attributes
    ----------
    group : str
        API group of the resources.
    resources : tuple of str
        Names as in URLs, e.g. ``"daskclusters/status"``.
    verbs : tuple of str
        What may be done with them.
    why : str
        What for, in one sentence.
    """

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str

    def manifest(self) -> Manifest:
        """Write it as an entry of ``rules``."""
        return {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}


OPERATOR_RULES = (
    Rule(
        GROUP,
        tuple(resource.plural for resource in DASK_RESOURCES),
        ("list", "watch"),
        "Follows what people ask for.",
    ),
    Rule(
        GROUP,
        (DASKCLUSTER.plural,),
        ("create", "delete", "get", "patch"),
        "Makes the cluster of a DaskJob and removes it, or suspends its workers where the scheduler is to "
        "be kept; looks who has the name where it is taken.",
    ),
    Rule(GROUP, (DASKJOB.plural,), ("delete",), "Removes a job that has outlived ttlSecondsAfterFinished."),
    Rule(
        GROUP,
        (DASKWORKERGROUP.plural,),
        ("create", "delete", "get", "patch"),
        "Makes the default group of a cluster and passes its replicas on. Adopts groups that people add: "
        "where OwnerReferencesPermissionEnforcement is on (OpenShift), that takes the right to delete.",
    ),
    Rule(
        GROUP,
        (DASKJOB.plural,),
        ("get",),
        "Makes sure that a job is gone before what it owned is deleted.",
    ),
    Rule(
        GROUP,
        (DASKAUTOSCALER.plural,),
        ("delete", "patch"),
        "Lets autoscalers go with their cluster, which takes the right to delete them, as for groups. It "
        "never deletes one.",
    ),
    Rule(
        GROUP,
        tuple(f"{resource.plural}/status" for resource in DASK_RESOURCES),
        ("patch",),
        "Says how things are.",
    ),
    Rule(
        GROUP,
        tuple(f"{owner.plural}/finalizers" for owner in OWNERS),
        ("update",),
        "Makes objects that block the deletion of their owner; OwnerReferencesPermissionEnforcement asks "
        "for this right.",
    ),
    Rule(
        POD.group,
        (POD.plural,),
        ("create", "delete", "get", "list", "patch", "watch"),
        "Schedulers, workers and job runners; patch marks a worker that is to go.",
    ),
    Rule(
        SERVICE.group,
        (SERVICE.plural,),
        ("create", "delete", "get", "list", "patch", "watch"),
        "The Services of schedulers, which go with their cluster. Patch applies an edited type or port.",
    ),
    Rule(
        BUDGET.group,
        (BUDGET.plural,),
        ("create", "delete", "get", "list", "watch"),
        "Spares schedulers where nodes are drained; delete is for those that do not want it any more.",
    ),
    Rule(
        NETWORKPOLICY.group,
        (NETWORKPOLICY.plural,),
        ("create", "delete", "get", "list", "patch", "watch"),
        "Closes clusters to others where they ask for it, and opens them again.",
    ),
    Rule(
        LEASE.group,
        (LEASE.plural,),
        ("get",),
        "Looks whether a client still renews the Lease of a cluster with a ttl.",
    ),
    Rule(
        SECRET.group,
        (SECRET.plural,),
        ("create", "get", "patch"),
        "Certificates of secured clusters: makes them, reads them to speak to schedulers, renews them.",
    ),
    Rule(EVENT.group, (EVENT.plural,), ("create",), "Tells what happened, for kubectl describe."),
)
"""What the operator does in a namespace. In a Role of each, or in a ClusterRole for all of them."""

CLUSTER_RULES = (
    Rule(
        NODE.group,
        (NODE.plural,),
        ("list", "watch"),
        "Learns at once that a node has gone silent. In one namespace it learns so from the Pods.",
    ),
)
"""What only an operator for all namespaces may do beside that: it is about no namespace."""

LEASE_RULES = (
    Rule(
        LEASE.group,
        (LEASE.plural,),
        ("create", "get", "patch"),
        "Of several operators one works: the one that holds a Lease in the operator's own namespace.",
    ),
)
"""What the operator does in the namespace that it runs in, whichever it looks after."""

ADOPTION_RULES = (
    Rule(
        DEPLOYMENT.group,
        (DEPLOYMENT.plural,),
        ("delete", "list", "patch"),
        "Pauses and removes the Deployments above the Pods that are taken over.",
    ),
    Rule(
        REPLICASET.group,
        (REPLICASET.plural,),
        ("delete", "list"),
        "Removes the ReplicaSets between them.",
    ),
    Rule(
        GROUP,
        (DASKJOB.plural,),
        ("patch",),
        "Takes the other operator's marks off jobs.",
    ),
)
"""What the operator does besides while it takes clusters over from dask-kubernetes' operator."""

VIEWER_RULES = (
    Rule(
        GROUP,
        tuple(name for resource in DASK_RESOURCES for name in (resource.plural, f"{resource.plural}/status")),
        ("get", "list", "watch"),
        "Reads Dask resources.",
    ),
)

EDITOR_RULES = (
    Rule(
        GROUP,
        tuple(resource.plural for resource in DASK_RESOURCES),
        ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"),
        "Makes, changes and removes Dask resources.",
    ),
    Rule(
        GROUP,
        tuple(f"{each.plural}/scale" for each in DASK_RESOURCES if "scale" in each.subresources),
        ("get", "patch", "update"),
        "kubectl scale.",
    ),
)

VIEWER_LABELS = {
    "rbac.authorization.k8s.io/aggregate-to-view": "true",
    "rbac.authorization.kubeflow.org/aggregate-to-kubeflow-view": "true",
}
EDITOR_LABELS = {
    "rbac.authorization.k8s.io/aggregate-to-edit": "true",
    "rbac.authorization.kubeflow.org/aggregate-to-kubeflow-edit": "true",
}
ADMIN_LABELS = {
    "rbac.authorization.k8s.io/aggregate-to-admin": "true",
    "rbac.authorization.kubeflow.org/aggregate-to-kubeflow-admin": "true",
}
"""Kubernetes adds the rules of such ClusterRoles to ``view``, ``edit`` and ``admin``; Kubeflow to its own."""


def role_rules(rules: Sequence[Rule]) -> list[Manifest]:
    """Write rules as the ``rules`` of a Role or ClusterRole."""
    return [rule.manifest() for rule in rules]
