"""The operator as it is installed in a Kubernetes: account, rights and Deployment.

Everything in ``deploy/``, the Helm chart too, is written from here by ``scripts/make_deploy.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dask_gpu_k8s.api import labels, rights
from dask_gpu_k8s.api.manifests import OPERATOR_COMMAND, OPERATOR_NAMESPACE
from dask_gpu_k8s.api.types import Manifest

CHART = "dask-gpu-k8s-operator"
"""Name of the Helm chart, and of everything that is installed."""

NOTEBOOK = "dask-notebook"
"""Name of the Role for whoever uses `KubeCluster`."""

HEALTH_PORT = 8080

OWN_NAMESPACE = "--namespace=$(POD_NAMESPACE)"
"""Argument for an operator that looks after nothing but the namespace that it runs in."""

RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Installation:
    """What differs between two installations.

    Attributes
    ----------
    image : str
    version : str
        Of this project.
    namespace : str
        Where the operator runs.
    name : str
        Of the Deployment, the Roles and their bindings.
    account : str
        Of the ServiceAccount.
    instance : str
        Value of the label that tells two installations apart.
    label : str
        Value of the label that says what this is.
    """

    image: str
    version: str
    namespace: str = OPERATOR_NAMESPACE
    name: str = CHART
    account: str = CHART
    instance: str = CHART
    label: str = CHART

    @property
    def selector(self) -> dict[str, str]:
        """Labels that find the operator's Pod."""
        return {"app.kubernetes.io/name": self.label, "app.kubernetes.io/instance": self.instance}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that is installed."""
        return {**self.selector, "app.kubernetes.io/version": self.version}

    def metadata(self, name: str, namespace: str | None = None, **labels: str) -> Manifest:
        """Make the metadata of one of its objects."""
        where = {} if namespace is None else {"namespace": namespace}
        return {"name": name, **where, "labels": {**self.labels, **labels}}


def make_namespace(name: str) -> Manifest:
    """Make the operator's namespace, which takes only Pods that may do no harm to their node."""
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": enforced}}


def make_account(it: Installation) -> Manifest:
    """Make the operator's ServiceAccount."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": it.metadata(it.account, it.namespace),
    }


def make_cluster_rights(it: Installation) -> list[Manifest]:
    """Let the operator look after all namespaces."""
    return _rights(it, "ClusterRole", None, it.name, (*rights.OPERATOR_RULES, *rights.CLUSTER_RULES))


def make_namespace_rights(it: Installation, namespace: str) -> list[Manifest]:
    """Let the operator look after one namespace."""
    return _rights(it, "Role", namespace, it.name, rights.OPERATOR_RULES)


def make_lease_rights(it: Installation) -> list[Manifest]:
    """Let the operator hold its Lease, in its own namespace."""
    return _rights(it, "Role", it.namespace, f"{it.name}-lease", rights.LEASE_RULES)


def make_adoption_rights(it: Installation) -> list[Manifest]:
    """Let the operator take clusters over from dask-kubernetes' operator; only for as long as that takes."""
    return _rights(it, "ClusterRole", None, f"{it.name}-adopting", rights.ADOPTION_RULES)


def make_user_roles(it: Installation) -> list[Manifest]:
    """Let whoever may view, edit or administer a namespace do so with its Dask resources.

    An administrator of a namespace has all of the operator's rights there: only so may they give them to
    an operator of their own.
    """
    wanted = (
        ("view", rights.VIEWER_RULES, rights.VIEWER_LABELS),
        ("edit", rights.EDITOR_RULES, rights.EDITOR_LABELS),
        ("admin", (*rights.OPERATOR_RULES, *rights.LEASE_RULES), rights.ADMIN_LABELS),
    )
    return [
        _role(it, "ClusterRole", f"{it.name}-{name}", None, rules, labels) for name, rules, labels in wanted
    ]


def make_notebook_role(it: Installation) -> Manifest:
    """Let whoever it is bound to use `KubeCluster`, in the namespace that it is applied to."""
    return _role(it, "Role", NOTEBOOK, None, rights.NOTEBOOK_RULES)


def make_deployment(it: Installation, arguments: Sequence[str] = ()) -> Manifest:
    """Make the Deployment of the operator, which the Pod Security Standard "restricted" lets in.

    Parameters
    ----------
    it : Installation
    arguments : sequence of str, optional
        For the operator, e.g. `OWN_NAMESPACE`; by default it looks after all namespaces.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": it.metadata(it.name, it.namespace),
        "spec": {
            "replicas": 1,
            # The new one is ready to work before the old one ends, and the Lease lets one of them do so.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": it.selector},
            "template": {
                "metadata": {"labels": {**it.labels, **labels.of_operator()}},
                "spec": {
                    "serviceAccountName": it.account,
                    # Variables of Services called dask-… would become configuration of Dask.
                    "enableServiceLinks": False,
                    # No runAsUser: the image has one, and OpenShift picks its own.
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    # Several, where somebody wants them, on several nodes where there are.
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": it.selector},
                        }
                    ],
                    "containers": [_container(it, arguments)],
                },
            },
        },
    }


def _container(it: Installation, arguments: Sequence[str]) -> Manifest:
    container = {
        "name": "operator",
        "image": it.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(OPERATOR_COMMAND),
        "args": [
            f"--leader-elect={it.name}",
            f"--health-port={HEALTH_PORT}",
            "--log-level=INFO",
            "--log-format=plain",
            *arguments,
        ],
        # Who holds the Lease, and where it is.
        "env": [
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.{field}"}}}
            for name, field in (("POD_NAMESPACE", "namespace"), ("POD_NAME", "name"), ("POD_UID", "uid"))
        ],
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        "livenessProbe": _probe("/healthz"),
        "readinessProbe": _probe("/readyz"),
        # No limit on CPU: it is idle most of the time and in a hurry for the rest.
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
    }
    return container


def _probe(path: str) -> Manifest:
    return {"httpGet": {"path": path, "port": "health"}, "periodSeconds": 10, "timeoutSeconds": 5}


def _rights(
    it: Installation, kind: str, namespace: str | None, name: str, rules: Sequence[rights.Rule]
) -> list[Manifest]:
    return [
        _role(it, kind, name, namespace, rules),
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": it.metadata(name, namespace),
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": it.account, "namespace": it.namespace}],
        },
    ]


def _role(
    it: Installation,
    kind: str,
    name: str,
    namespace: str | None,
    rules: Sequence[rights.Rule],
    labels: Mapping[str, str] | None = None,
) -> Manifest:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": it.metadata(name, namespace, **labels or {}),
        "rules": rights.role_rules(rules),
    }
