"""TLS of a cluster: whether it is asked for and spoken, and where the certificates are.

What a cluster asks for and what it speaks differ where ``spec.security`` was edited and the scheduler still
runs as before: workers and clients follow the scheduler.
"""

from __future__ import annotations

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.types import Manifest

CA, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
"""Keys of the Secret, as in any of type kubernetes.io/tls: authorities to trust, certificate, private key."""


def is_secure(cluster: Manifest) -> bool:
    """Say whether a DaskCluster asks for TLS."""
    return bool(cluster["spec"].get("security"))


def is_given(cluster: Manifest) -> bool:
    """Say whether the certificates are the user's own, in a Secret of theirs."""
    return bool(cluster["spec"].get("securitySecret"))


def secret_name(cluster: Manifest) -> str:
    """Return the name of the Secret in which a DaskCluster's certificates are to be."""
    return str(cluster["spec"].get("securitySecret") or names.tls_secret(cluster["metadata"]["name"]))


def wanted_secret(cluster: Manifest) -> str:
    """Return the name of the Secret by which a DaskCluster is to speak TLS; empty if it is not to."""
    return secret_name(cluster) if is_secure(cluster) else ""


def secret_in_use(cluster: Manifest) -> str:
    """Return the name of the Secret by which a DaskCluster's scheduler speaks TLS; empty if it does not."""
    status = cluster.get("status") or {}
    if status.get("schedulerAddress"):
        return str(status.get("securitySecret") or "")
    return wanted_secret(cluster)


def scheme(cluster: Manifest) -> str:
    """Return what the addresses of a DaskCluster's processes begin with."""
    return "tls" if secret_in_use(cluster) else "tcp"
