"""TLS of a cluster: whether it is asked for, which Secret holds the certificates, and under which keys."""

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
    """Return the name of the Secret with a DaskCluster's certificates."""
    return str(cluster["spec"].get("securitySecret") or names.tls_secret(cluster["metadata"]["name"]))


def scheme(cluster: Manifest) -> str:
    """Return what the addresses of a DaskCluster's processes begin with."""
    return "tls" if is_secure(cluster) else "tcp"
