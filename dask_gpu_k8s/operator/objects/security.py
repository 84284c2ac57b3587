"""What makes the processes of a Pod speak TLS: the certificates as files, and variables that Dask reads."""

from __future__ import annotations

from collections.abc import Mapping

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, SECRET
from dask_gpu_k8s.api.security import CA, CERTIFICATE, KEY, secret_in_use
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.operator.objects.containers import with_variables
from dask_gpu_k8s.operator.objects.metadata import identity, make_metadata

VOLUME = "dask-tls"
FOLDER = "/etc/dask-tls"
"""Not in /etc/dask, which Dask searches for its configuration."""

_TLS = "DASK_DISTRIBUTED__COMM__TLS"
VARIABLES = {
    "DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME": "tls",
    "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
    f"{_TLS}__CA_FILE": f"{FOLDER}/{CA}",
    **{f"{_TLS}__{role}__CERT": f"{FOLDER}/{CERTIFICATE}" for role in ("SCHEDULER", "WORKER", "CLIENT")},
    **{f"{_TLS}__{role}__KEY": f"{FOLDER}/{KEY}" for role in ("SCHEDULER", "WORKER", "CLIENT")},
}
"""Read by every Dask process, whatever its command: scheduler, worker, nanny, client."""

READ_ONLY_ROUTES = (
    "distributed.http.scheduler.prometheus",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.json",
    "distributed.http.health",
    "distributed.http.statics",
)
"""What the scheduler serves on its HTTP port, where nobody has to show a certificate.

Dask's own list but for ``distributed.http.proxy``, by which whoever reaches the port could open websockets
to any address that the scheduler reaches. With it stays out whatever an image may have added, above all
``distributed.http.scheduler.api``, which retires workers for anybody who asks.
"""

SCHEDULER_VARIABLES = {"DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": repr(list(READ_ONLY_ROUTES))}


def make_secret(cluster: Manifest) -> Manifest:
    """Make the Secret for a cluster's certificates, without any in it."""
    name = cluster["metadata"]["name"]
    metadata = make_metadata(
        names.tls_secret(name), cluster, DASKCLUSTER, None, fixed=labels.of_cluster(name)
    )
    wish = (cluster["metadata"].get("annotations") or {}).get(labels.RENEW)
    if wish is not None:
        metadata["annotations"][labels.RENEW] = wish
    return {
        **identity(SECRET),
        "metadata": metadata,
        "type": "kubernetes.io/tls",
    }


def scheduler_hosts(cluster: Manifest) -> tuple[str, ...]:
    """Return the names under which a scheduler is known within Kubernetes, shortest first."""
    name, namespace = names.scheduler(cluster["metadata"]["name"]), cluster["metadata"]["namespace"]
    return name, f"{name}.{namespace}", f"{name}.{namespace}.svc"


def secure(cluster: Manifest, spec: Manifest, more: Mapping[str, str] | None = None) -> Manifest:
    """Add TLS to the spec of a Pod of a cluster, if the cluster speaks it.

    Parameters
    ----------
    cluster : Manifest
        The DaskCluster.
    spec : Manifest
        The pod spec; it is not changed, and what it says of the same variables, of a volume of that name
        and of a mount at that path is left alone.
    more : mapping, optional
        Further variables.
    """
    secret = secret_in_use(cluster)
    if not secret:
        return spec
    variables = {**VARIABLES, **(more or {})}
    made = {**spec, "containers": [_secure_container(each, variables) for each in spec["containers"]]}
    volumes = spec.get("volumes") or []
    if all(volume["name"] != VOLUME for volume in volumes):
        made["volumes"] = [*volumes, _volume(secret)]
    return made


def security_mark(cluster: Manifest) -> tuple[str, ...]:
    """Return what differs between Pods with and without TLS, or with certificates from elsewhere."""
    secret = secret_in_use(cluster)
    return (secret,) if secret else ()


def secret_of(pod: Manifest) -> str:
    """Return the name of the Secret with which the processes of a Pod speak TLS; empty if they do not."""
    volumes = pod["spec"].get("volumes") or ()
    found = (volume.get("secret") or {} for volume in volumes if volume["name"] == VOLUME)
    return str(next(found, {}).get("secretName") or "")


def _volume(secret: str) -> Manifest:
    # Each key by name: what comes with the next renewal is not for Pods.
    items = [{"key": key, "path": key} for key in (CA, CERTIFICATE, KEY)]
    return {"name": VOLUME, "secret": {"secretName": secret, "items": items}}


def _secure_container(container: Manifest, variables: Mapping[str, str]) -> Manifest:
    mounts = container.get("volumeMounts") or []
    made = {**container, "env": with_variables(container.get("env") or (), variables)}
    if all(mount.get("mountPath", "").rstrip("/") != FOLDER for mount in mounts):
        made["volumeMounts"] = [*mounts, {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}]
    return made
