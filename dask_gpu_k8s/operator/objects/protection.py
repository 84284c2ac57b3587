"""What keeps a cluster from harm: a budget against evictions, a policy against strangers."""

from __future__ import annotations

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import BUDGET, DASKCLUSTER, NETWORKPOLICY
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.metadata import identity, make_metadata
from dask_gpu_k8s.operator.objects.templates import fingerprint, marked_with

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that Kubernetes puts on every namespace; its value is the namespace's name."""


def make_scheduler_budget(cluster: Manifest) -> Manifest:
    """Make the PodDisruptionBudget that spares a cluster's scheduler when nodes are drained.

    The number is a whole one: of a Pod without a controller such as a Deployment, Kubernetes cannot tell
    what a share is a share of.
    """
    name = cluster["metadata"]["name"]
    return {
        **identity(BUDGET),
        "metadata": make_metadata(
            names.scheduler(name), cluster, DASKCLUSTER, None, fixed=labels.of_scheduler(name)
        ),
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels.of_scheduler(name)}},
    }


def make_network_policy(cluster: Manifest, home: str) -> Manifest:
    """Make the NetworkPolicy that lets nobody but a cluster's own Pods, the operator and its peers in.

    It is about who may come in alone: answers, so those of DNS too, always may, and where a cluster's data
    is read from is not for us to say. The node's own probes are let through by Kubernetes.

    Parameters
    ----------
    cluster : Manifest
    home : str
        Namespace of the operator; empty if it runs outside.
    """
    name = cluster["metadata"]["name"]
    own = {"matchLabels": labels.of_cluster(name)}
    peers = [{"podSelector": own}, *_operator(home), *(cluster["spec"].get("networkPolicyFrom") or ())]
    spec = {"podSelector": own, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]}
    made = {
        **identity(NETWORKPOLICY),
        "metadata": make_metadata(
            names.network_policy(name), cluster, DASKCLUSTER, None, fixed=labels.of_cluster(name)
        ),
        "spec": spec,
    }
    return marked_with(made, fingerprint(spec))


def _operator(home: str) -> list[Manifest]:
    if not home:
        return []
    return [
        {
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: home}},
            "podSelector": {"matchLabels": labels.of_operator()},
        }
    ]
