"""The built-in kinds that are served, each with what the server knows of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dask_gpu_k8s.api import resources
from dask_gpu_k8s.api.builtin import builtin_schemas
from dask_gpu_k8s.api.resources import Resource
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.machinery import crd, naming, pod_defaults, pod_rules, quota, services, simple_rules
from dask_gpu_k8s.local.machinery.kinds import Kind
from dask_gpu_k8s.local.printing import printers
from dask_gpu_k8s.local.printing.pod_printer import PODS
from dask_gpu_k8s.local.printing.table import PLAIN

SERVICEACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount", "serviceaccount", ("sa",))
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", "endpoints", ("ep",))
ENDPOINTSLICE = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "endpointslice")
_RBAC = "rbac.authorization.k8s.io"
ROLE = Resource(_RBAC, "v1", "roles", "Role", "role")
ROLEBINDING = Resource(_RBAC, "v1", "rolebindings", "RoleBinding", "rolebinding")
CLUSTERROLE = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", "clusterrole", (), False)
CLUSTERROLEBINDING = Resource(
    _RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", "clusterrolebinding", (), False
)

_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS = {f"involvedObject.{key}": f"involvedObject.{key}" for key in _ABOUT} | {
    "reason": "reason",
    "reportingComponent": "reportingComponent",
    "source": "source.component",
    "type": "type",
}
_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)


def _schema(kind: str) -> Callable[[], Manifest | None]:
    return lambda: builtin_schemas()[kind]


def builtin_kinds(addresses: services.ServiceAddresses, now: Callable[[], datetime]) -> list[Kind]:
    """Make the built-in kinds.

    Parameters
    ----------
    addresses : ServiceAddresses
        Gives Services what they are reached by.
    now : callable
        The clock.
    """
    return [
        *_places(),
        *_pods_and_services(addresses),
        *_data(),
        *_coordination(),
        *_policy(),
        _custom_kinds(now),
        *_reviews(),
    ]


def _places() -> list[Kind]:
    namespace = Kind(
        resources.NAMESPACE,
        printers.NAMESPACE,
        _schema("Namespace"),
        fields={"status.phase": "status.phase"},
        name_rule=naming.label,
        has_status=True,
        fill=simple_rules.fill_namespace,
        start=simple_rules.start_namespace,
    )
    node = Kind(
        resources.NODE,
        printers.NODE,
        _schema("Node"),
        fields={"spec.unschedulable": "spec.unschedulable"},
        has_status=True,
    )
    return [namespace, node]


def _pods_and_services(addresses: services.ServiceAddresses) -> list[Kind]:
    pod = Kind(
        resources.POD,
        PODS,
        _schema("Pod"),
        categories=("all",),
        fields={path: path for path in _POD_FIELDS},
        has_status=True,
        has_generation=True,
        graceful=True,
        fill=pod_defaults.fill,
        start=pod_rules.start,
        check=pod_rules.check,
    )
    service = Kind(
        resources.SERVICE,
        printers.SERVICE,
        _schema("Service"),
        categories=("all",),
        fields={"spec.clusterIP": "spec.clusterIP", "spec.type": "spec.type"},
        name_rule=naming.dns1035,
        has_status=True,
        fill=addresses.fill,
        start=services.start,
        check=addresses.check,
    )
    slices = Kind(
        ENDPOINTSLICE,
        printers.ENDPOINTSLICE,
        _schema("EndpointSlice"),
        has_generation=True,
        fill=simple_rules.fill_lists("endpoints", "ports"),
    )
    endpoints = Kind(ENDPOINTS, printers.ENDPOINTS, _schema("Endpoints"), created_by_update=True)
    return [pod, service, endpoints, slices]


def _data() -> list[Kind]:
    config_map = Kind(
        resources.CONFIGMAP,
        printers.CONFIGMAP,
        _schema("ConfigMap"),
        check=simple_rules.check_immutable,
    )
    secret = Kind(
        resources.SECRET,
        printers.SECRET,
        _schema("Secret"),
        fields={"type": "type"},
        fill=simple_rules.fill_secret,
        check=simple_rules.check_secret,
    )
    return [config_map, secret]


def _coordination() -> list[Kind]:
    event = Kind(
        resources.EVENT,
        printers.EVENT,
        _schema("Event"),
        fields=_EVENT_FIELDS,
        created_by_update=True,
        check=simple_rules.check_event,
    )
    lease = Kind(
        resources.LEASE,
        printers.LEASE,
        _schema("Lease"),
        needs_version=True,
        created_by_update=True,
        check=simple_rules.check_lease,
    )
    return [event, lease]


def _policy() -> list[Kind]:
    """Make the kinds that set limits. Of these only quotas are enforced: requests and packets all pass."""
    account = Kind(SERVICEACCOUNT, printers.SERVICEACCOUNT, _schema("ServiceAccount"))
    budget = Kind(
        resources.BUDGET,
        printers.BUDGET,
        _schema("PodDisruptionBudget"),
        has_status=True,
        has_generation=True,
        needs_version=True,
    )
    network = Kind(
        resources.NETWORKPOLICY,
        printers.NETWORKPOLICY,
        _schema("NetworkPolicy"),
        has_generation=True,
        fill=simple_rules.fill_network_policy,
    )
    limits = Kind(
        resources.RESOURCEQUOTA,
        printers.RESOURCEQUOTA,
        _schema("ResourceQuota"),
        has_status=True,
        check=quota.check,
    )
    rights = [
        Kind(
            resource,
            printers.BINDING if "Binding" in resource.kind else printers.ROLE,
            _schema(resource.kind),
            name_rule=naming.path_segment,
            created_by_update=True,
        )
        for resource in (ROLE, ROLEBINDING, CLUSTERROLE, CLUSTERROLEBINDING)
    ]
    return [account, budget, network, limits, *rights]


def _custom_kinds(now: Callable[[], datetime]) -> Kind:
    return Kind(
        resources.CRD,
        printers.CRD,
        _schema("CustomResourceDefinition"),
        has_status=True,
        has_generation=True,
        needs_version=True,
        cleanup=crd.CLEANUP,
        fill=crd.fill,
        start=lambda obj: crd.start(obj, now()),
        check=crd.check,
    )


def _reviews() -> list[Kind]:
    """Make the kinds that are answered and not stored."""
    access = "authorization.k8s.io"
    return [
        Kind(
            Resource(group, "v1", f"{kind.lower()}s", kind, kind.lower(), (), False),
            PLAIN,
            verbs=("create",),
            stored=False,
            start=answer,
        )
        for group, kind, answer in (
            (access, "SelfSubjectAccessReview", simple_rules.allowed),
            (access, "SelfSubjectRulesReview", simple_rules.every_rule),
            ("authentication.k8s.io", "SelfSubjectReview", simple_rules.who_am_i),
        )
    ]
