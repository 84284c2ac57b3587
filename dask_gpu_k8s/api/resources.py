"""Kinds of resource, each named once: what the URL, the manifest and kubectl call it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Resource:
    """A kind of Kubernetes resource.

    Attributes
    ----------
    group : str
        API group; empty for the core group.
    version : str
        API version within the group, e.g. ``"v1"``.
    plural : str
        Name in URLs, e.g. ``"daskclusters"``.
    kind : str
        Name in manifests, e.g. ``"DaskCluster"``.
    singular : str
        Name in messages, e.g. ``"daskcluster"``.
    short : tuple of str
        What kubectl accepts beside them.
    namespaced : bool
        Whether objects live in a namespace.
    subresources : tuple of str
        e.g. ``("status", "scale")``.
    """

    group: str
    version: str
    plural: str
    kind: str
    singular: str
    short: tuple[str, ...] = field(default=(), compare=False)
    namespaced: bool = field(default=True, compare=False)
    subresources: tuple[str, ...] = field(default=(), compare=False)

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of a manifest of this kind."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """The unambiguous name for kubectl and messages, e.g. ``daskclusters.kubernetes.dask.org``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


GROUP = "kubernetes.dask.org"
VERSION = "v1"

DASKCLUSTER = Resource(
    GROUP, VERSION, "daskclusters", "DaskCluster", "daskcluster", ("dsk",), True, ("status", "scale")
)
DASKWORKERGROUP = Resource(
    GROUP, VERSION, "daskworkergroups", "DaskWorkerGroup", "daskworkergroup", ("daskworkers",), True,
    ("status", "scale"),
)  # fmt: skip
DASKJOB = Resource(GROUP, VERSION, "daskjobs", "DaskJob", "daskjob", ("djb",), True, ("status",))
DASKAUTOSCALER = Resource(
    GROUP, VERSION, "daskautoscalers", "DaskAutoscaler", "daskautoscaler", (), True, ("status",)
)

OWNERS = (DASKCLUSTER, DASKWORKERGROUP, DASKJOB)
"""Kinds whose objects own others."""

DASK_RESOURCES = (DASKCLUSTER, DASKWORKERGROUP, DASKJOB, DASKAUTOSCALER)

NAMESPACE = Resource("", "v1", "namespaces", "Namespace", "namespace", ("ns",), False, ("status",))
NODE = Resource("", "v1", "nodes", "Node", "node", ("no",), False, ("status",))
POD = Resource("", "v1", "pods", "Pod", "pod", ("po",), True, ("status", "log", "exec", "portforward"))
SERVICE = Resource("", "v1", "services", "Service", "service", ("svc",), True, ("status",))
EVENT = Resource("", "v1", "events", "Event", "event", ("ev",))
CONFIGMAP = Resource("", "v1", "configmaps", "ConfigMap", "configmap", ("cm",))
SECRET = Resource("", "v1", "secrets", "Secret", "secret")
RESOURCEQUOTA = Resource(
    "", "v1", "resourcequotas", "ResourceQuota", "resourcequota", ("quota",), True, ("status",)
)
BUDGET = Resource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "poddisruptionbudget", ("pdb",), True,
    ("status",),
)  # fmt: skip
NETWORKPOLICY = Resource(
    "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "networkpolicy", ("netpol",)
)
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease", "lease")
DEPLOYMENT = Resource(
    "apps", "v1", "deployments", "Deployment", "deployment", ("deploy",), True, ("status", "scale")
)
REPLICASET = Resource(
    "apps", "v1", "replicasets", "ReplicaSet", "replicaset", ("rs",), True, ("status", "scale")
)
CRD = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
    "customresourcedefinition", ("crd", "crds"), False, ("status",),
)  # fmt: skip
