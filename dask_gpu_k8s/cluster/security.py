"""What this process shows to a scheduler that speaks TLS."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from distributed.security import Security

from dask_gpu_k8s.api.resources import SECRET
from dask_gpu_k8s.api.security import CA, CERTIFICATE, KEY, secret_in_use
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.errors import NotAllowed, StartFailed
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Forbidden, NotFound


async def find_security(kube: KubeClient, cluster: Manifest, given: Any) -> Security | None:
    """Find out how clients of a cluster have to speak.

    Parameters
    ----------
    kube : KubeClient
    cluster : Manifest
        The DaskCluster.
    given : distributed.Security or bool
        What the user says; an object wins over the cluster's own Secret, which is not read then.

    Returns
    -------
    distributed.Security or None
        With the certificates in memory; ``None`` if the cluster does not speak TLS.

    Raises
    ------
    NotAllowed
        If the Secret may not be read.
    StartFailed
        If it does not hold certificates.
    """
    if isinstance(given, Security):
        return given
    metadata, name = cluster["metadata"], secret_in_use(cluster)
    if not name:
        return None
    where = f"DaskCluster {metadata['namespace']}/{metadata['name']}"
    try:
        secret = await kube.get(SECRET, name, metadata["namespace"])
    except Forbidden as error:
        raise NotAllowed(
            f"it speaks TLS, and Secret {name!r} with its certificates may not be read ({error.message})",
            where=where,
            cure=f"Ask for a Role with the verb get on the secret {name}, or for the certificates, to be "
            "given as security=distributed.Security(…).",
        ) from error
    except NotFound as error:
        raise StartFailed(
            f"it speaks TLS, but Secret {name!r} with its certificates is not there",
            where=where,
            cure="The operator makes another one; the scheduler's Pod must then be deleted, to know it.",
        ) from error
    return make_security(secret, where)


def make_security(secret: Manifest, where: str) -> Security:
    """Make Dask's settings of what a Secret holds.

    Raises
    ------
    StartFailed
        If one of the three parts is missing.
    """
    data: Mapping[str, str] = secret.get("data") or {}
    missing = [key for key in (CA, CERTIFICATE, KEY) if not data.get(key)]
    if missing:
        name = secret["metadata"]["name"]
        raise StartFailed(f"Secret {name!r} with its certificates has no {', '.join(missing)}", where=where)
    authorities, certificate, key = (base64.b64decode(data[part]).decode() for part in (CA, CERTIFICATE, KEY))
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=authorities,
        **{f"tls_{role}_cert": certificate for role in roles},
        **{f"tls_{role}_key": key for role in roles},
    )
