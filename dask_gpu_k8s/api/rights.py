"""Who may do what: the operator's rules, as few as it needs, and those for people."""

from __future__ import annotations

import re
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
    without : str
        What becomes of it without: ends a sentence that begins with "Without that right". Only for people,
        who often have less; the operator has all or does not work.
    """

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    without: str = ""

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

NOTEBOOK_RULES = (
    Rule(
        GROUP,
        (DASKCLUSTER.plural,),
        ("get", "list", "watch"),
        "Finds a cluster, and follows it while it comes up and goes.",
        "no cluster is made or connected to",
    ),
    Rule(
        GROUP,
        (DASKCLUSTER.plural,),
        ("create",),
        "Makes clusters.",
        "only clusters that are there can be connected to, by KubeCluster.from_name",
    ),
    Rule(
        GROUP,
        (DASKCLUSTER.plural,),
        ("delete",),
        "Removes clusters at close() and at the end of the process.",
        "a cluster stays until somebody else deletes it",
    ),
    Rule(
        GROUP,
        (DASKCLUSTER.plural,),
        ("patch",),
        "suspend(), resume() and frozen().",
        "workers cannot be suspended or held still",
    ),
    Rule(GROUP, (DASKWORKERGROUP.plural,), ("patch",), "scale().", "no group is scaled"),
    Rule(
        GROUP,
        (DASKWORKERGROUP.plural,),
        ("list", "watch"),
        "Knows the groups, and how many workers there are to be.",
        "the display shows only the workers that there are",
    ),
    Rule(
        GROUP,
        (DASKWORKERGROUP.plural,),
        ("create", "delete", "get"),
        "add_worker_group(), delete_worker_group(), and adapt() of such a group.",
        "the cluster has to do with the groups that it has",
    ),
    Rule(
        GROUP,
        (DASKAUTOSCALER.plural,),
        ("create", "list", "patch"),
        "adapt().",
        "adapt() is refused; scale() works, but an autoscaler that the group has goes on",
    ),
    Rule(
        GROUP,
        (DASKAUTOSCALER.plural,),
        ("delete",),
        "scale() ends adapt().",
        "a group that adapts cannot be scaled by hand",
    ),
    Rule(
        POD.group,
        (POD.plural,),
        ("list", "watch"),
        "Sees the scheduler and the workers come up and end, and why.",
        "no cluster is made, nor is it told how workers end",
    ),
    Rule(
        POD.group,
        (f"{POD.plural}/log",),
        ("get",),
        "get_logs(), and the last lines of a Pod that has failed.",
        "errors come without the last lines of the Pod's log, and get_logs() without logs",
    ),
    Rule(
        EVENT.group,
        (EVENT.plural,),
        ("list",),
        "Says why a Pod does not start where only events do: the last one stands in the error.",
        "errors come without the Pod's last event",
    ),
    Rule(
        SERVICE.group,
        (SERVICE.plural,),
        ("get",),
        "Finds the ports and the address of the scheduler's Service.",
        "node ports and load balancers are not found, and the scheduler is reached from within or by "
        "port-forward alone",
    ),
    Rule(
        SERVICE.group,
        (SERVICE.plural,),
        ("list", "watch"),
        'connect="load-balancer" waits for an address.',
        "an address that a load balancer does not have yet is not waited for",
    ),
    Rule(
        POD.group,
        (f"{POD.plural}/portforward",),
        ("create", "get"),
        "Reaches the scheduler from outside. Kubernetes has asked for either verb, and from 1.35 for both.",
        "schedulers are reached from outside by node port or load balancer alone",
    ),
    Rule(
        LEASE.group,
        (LEASE.plural,),
        ("create", "patch"),
        "ttl=: says that this process still lives.",
        "no cluster is made with a ttl, and one that is connected to goes with its other clients",
    ),
)
"""What `KubeCluster` does in a namespace for whoever runs it."""

_CANNOT = re.compile(r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)"')


def what_is_lost(refusal: str) -> str:
    """Say what `KubeCluster` cannot do for want of a right, as a sentence; empty if that is not known.

    Parameters
    ----------
    refusal : str
        The API server's message, which names the verb and the resource.
    """
    asked = _CANNOT.search(refusal)
    if asked is None:
        return ""
    for rule in NOTEBOOK_RULES:
        if asked["resource"] in rule.resources and asked["verb"] in rule.verbs:
            return f"Without that right {rule.without}."
    return ""


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
