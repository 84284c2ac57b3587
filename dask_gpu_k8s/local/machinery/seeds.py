"""What every Kubernetes has from the start: four namespaces, and in each namespace a service account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask_gpu_k8s.api.resources import NAMESPACE, POD
from dask_gpu_k8s.local.errors import forbidden
from dask_gpu_k8s.local.machinery.builtin import SERVICEACCOUNT
from dask_gpu_k8s.local.machinery.kinds import Kind

if TYPE_CHECKING:
    from dask_gpu_k8s.local.api import Api

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_KEPT = ("default", "kube-public", "kube-system")


def plant(api: Api) -> None:
    """Create the namespaces of a new Kubernetes."""
    for name in NAMESPACES:
        api.create(NAMESPACE, None, {"metadata": {"name": name}})


def plant_in(api: Api, namespace: str) -> None:
    """Create what a new namespace starts with."""
    api.create(SERVICEACCOUNT, namespace, {"metadata": {"name": "default"}})


def check_account(api: Api, kind: Kind, namespace: str | None, pod: Any) -> None:
    """Refuse a Pod whose service account is not there, as admission does."""
    if kind.resource != POD or not isinstance(pod, dict) or not isinstance(pod.get("spec"), dict):
        return
    account = pod["spec"].get("serviceAccountName") or pod["spec"].get("serviceAccount") or "default"
    home = (namespace or "", str(account))
    if account == "default" or api.store.get(("", "serviceaccounts"), home):
        return
    name = (pod.get("metadata") or {}).get("name") or ""
    why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
    raise forbidden(kind.resource, name, why)


def refuse_deleting(kind: Kind, name: str) -> None:
    """Refuse to delete a namespace without which nothing works."""
    if kind.resource == NAMESPACE and name in _KEPT:
        raise forbidden(kind.resource, name, "this namespace may not be deleted")
