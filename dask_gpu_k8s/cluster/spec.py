"""From arguments to resources: the DaskCluster and DaskWorkerGroups that KubeCluster creates.

Everything here is pure; nothing changes what it is handed.

Who wins where several places set the same field:

=============================  ===========================================================
field                          the later wins
=============================  ===========================================================
image, replicas, command       argument, overlay
resources of workers           ``resources``, overlay
resources of the scheduler     ``scheduler_resources``, overlay (``resources`` is for workers)
environment                    ``env``, overlay by name; at run time ``env`` over ``env_from``
labels, annotations            role options, overlay; labels that relate objects are the operator's
everything else in a Pod       role options, overlay
=============================  ===========================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from dask_gpu_k8s.api import labels, names
from dask_gpu_k8s.api.resources import DASKCLUSTER, DASKWORKERGROUP
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster.arguments import (
    parse_cluster_name,
    parse_command,
    parse_count,
    parse_env,
    parse_image,
    parse_resources,
    parse_service_type,
    plain,
)
from dask_gpu_k8s.cluster.facts import NAME_ARGS
from dask_gpu_k8s.cluster.image import default_image
from dask_gpu_k8s.cluster.roles import PodOptions, apply_options, parse_options
from dask_gpu_k8s.errors import InvalidArgument

Env: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Options: TypeAlias = PodOptions | Mapping[str, Any]

WORKER_COMMAND = "dask worker"
SCHEDULER_COMMAND = ("dask", "scheduler")
COMM_PORT, DASHBOARD_PORT = 8786, 8787
COMM, DASHBOARD = "tcp-comm", "http-dashboard"
STARTUP_SECONDS = 600
"""How long a scheduler may take to answer at all: an image may install packages first."""


def make_cluster_spec(  # noqa: PLR0913, PLR0917 - upstream's parameters, by position, and two roles
    name: str,
    image: str | None = None,
    n_workers: int | None = None,
    resources: Mapping[str, Any] | None = None,
    env: Env | None = None,
    worker_command: str | Sequence[str] = WORKER_COMMAND,
    scheduler_service_type: str = "ClusterIP",
    idle_timeout: int = 0,
    jupyter: bool = False,
    *,
    ttl: int = 0,
    security: bool = False,
    scheduler_resources: Mapping[str, Any] | None = None,
    scheduler_options: Options | None = None,
    worker_options: Options | None = None,
) -> Manifest:
    """Make a DaskCluster resource.

    Parameters
    ----------
    name : str
        At most 53 lower-case letters, digits and ``-``, a letter first.
    image : str, optional
        Of scheduler and workers. By default the published Dask image of this process' versions.
    n_workers : int, optional
        Workers in the default group. By default what the custom resource says: one.
    resources, scheduler_resources : mapping, optional
        ``limits`` and ``requests`` of each worker, and of the scheduler, which gets none of the former.
    env : mapping or list, optional
        Environment of both.
    worker_command : str or list of str, optional
        What a worker runs; ``--name $(DASK_WORKER_NAME)`` is added.
    scheduler_service_type : str, optional
        ``ClusterIP``, ``NodePort`` or ``LoadBalancer``.
    idle_timeout : int, optional
        Seconds without work after which the cluster is to be deleted; 0 for never.
    jupyter : bool, optional
        Run a Jupyter server on the scheduler.
    ttl : int, optional
        Seconds after which the cluster is to be deleted unless a client renews its Lease; 0 for never.
    security : bool, optional
        Speak TLS.
    scheduler_options, worker_options : PodOptions or mapping, optional
        Everything else about the Pods of a role.

    Returns
    -------
    dict

    Raises
    ------
    InvalidArgument, InvalidType
    """
    if security and jupyter:
        raise InvalidArgument(
            "a Jupyter server on the scheduler runs code for whoever reaches its HTTP port, and asks nobody "
            "for a certificate",
            where="jupyter",
            cure="Leave out either jupyter or security.",
        )
    image = default_image() if image is None else image
    worker = make_worker_spec(image, n_workers, resources, env, worker_command, options=worker_options)
    scheduler = make_scheduler_spec(
        name, env, scheduler_resources, image, scheduler_service_type, jupyter, options=scheduler_options
    )
    seconds = {"idleTimeout": parse_count(idle_timeout, "idle_timeout"), "ttl": parse_count(ttl, "ttl")}
    ends = {field: value for field, value in seconds.items() if value}
    tls = {"security": True} if security else {}
    return {
        "apiVersion": DASKCLUSTER.api_version,
        "kind": DASKCLUSTER.kind,
        "metadata": {"name": name, "labels": labels.of_cluster(name)},
        "spec": {"worker": worker, "scheduler": scheduler, **ends, **tls},
    }


def make_worker_spec(
    image: str | None = None,
    n_workers: int | None = 3,
    resources: Mapping[str, Any] | None = None,
    env: Env | None = None,
    worker_command: str | Sequence[str] = WORKER_COMMAND,
    *,
    options: Options | None = None,
) -> Manifest:
    """Make the worker part of a DaskCluster or DaskWorkerGroup.

    Parameters
    ----------
    image, n_workers, resources, env, worker_command
        As for `make_cluster_spec`; three workers by default.
    options : PodOptions or mapping, optional
        Everything else about the Pods.

    Returns
    -------
    dict
        ``{"replicas": …, "spec": {"containers": […]}}``

    Raises
    ------
    InvalidArgument, InvalidType
        Naming the argument.
    """
    container: Manifest = {
        "name": "worker",
        "image": parse_image(default_image() if image is None else image),
        "imagePullPolicy": "IfNotPresent",
        "args": worker_args(worker_command),
        **_container_extras(env, resources, "resources"),
    }
    template = apply_options(
        {"spec": {"containers": [container]}}, parse_options(options, "worker_options"), "worker_options"
    )
    if n_workers is None:
        return template
    return {"replicas": parse_count(n_workers, "n_workers"), **template}


def worker_args(worker_command: str | Sequence[str]) -> list[str]:
    """Make the arguments of a worker's container: the command, and the name the operator gives the Pod."""
    return [*parse_command(worker_command), *NAME_ARGS]


def make_scheduler_spec(
    cluster_name: str,
    env: Env | None = None,
    resources: Mapping[str, Any] | None = None,
    image: str | None = None,
    scheduler_service_type: str = "ClusterIP",
    jupyter: bool = False,
    *,
    options: Options | None = None,
) -> Manifest:
    """Make the scheduler part of a DaskCluster.

    Parameters
    ----------
    cluster_name : str
        Name of the cluster, which its Service selects by.
    env, image, scheduler_service_type, jupyter
        As for `make_cluster_spec`.
    resources : mapping, optional
        ``limits`` and ``requests`` of the scheduler.
    options : PodOptions or mapping, optional
        Everything else about the Pod.

    Returns
    -------
    dict
        ``{"spec": …, "service": …}``

    Raises
    ------
    InvalidArgument, InvalidType
        Naming the argument.
    """
    parse_cluster_name(cluster_name)
    container: Manifest = {
        "name": "scheduler",
        "image": parse_image(default_image() if image is None else image),
        "imagePullPolicy": "IfNotPresent",
        "args": [*SCHEDULER_COMMAND, *(["--jupyter"] if jupyter else [])],
        **_container_extras(env, resources, "scheduler_resources"),
        "ports": [_container_port(COMM, COMM_PORT), _container_port(DASHBOARD, DASHBOARD_PORT)],
        # Asked every second until it answers once; only then do the other two begin.
        "startupProbe": {**_health(), "periodSeconds": 1, "failureThreshold": STARTUP_SECONDS},
        "readinessProbe": {**_health(), "periodSeconds": 10},
        "livenessProbe": {**_health(), "initialDelaySeconds": 15, "periodSeconds": 20},
    }
    template = apply_options(
        {"spec": {"containers": [container]}},
        parse_options(options, "scheduler_options"),
        "scheduler_options",
    )
    return {**template, "service": _make_service(cluster_name, scheduler_service_type)}


def _make_service(cluster_name: str, service_type: str) -> Manifest:
    return {
        "type": parse_service_type(service_type),
        "selector": labels.of_scheduler(cluster_name),
        "ports": [_service_port(COMM, COMM_PORT), _service_port(DASHBOARD, DASHBOARD_PORT)],
    }


def make_worker_group(cluster: str, group: str, worker: Manifest) -> Manifest:
    """Make a DaskWorkerGroup of a cluster.

    Parameters
    ----------
    cluster : str
        Name of the DaskCluster.
    group : str
        Name of the group within it; the resource is called ``<cluster>-<group>``.
    worker : dict
        As from `make_worker_spec`.
    """
    return {
        "apiVersion": DASKWORKERGROUP.api_version,
        "kind": DASKWORKERGROUP.kind,
        "metadata": {
            "name": names.worker_group(cluster, group),
            "labels": labels.of_worker_group(cluster),
        },
        "spec": {"cluster": cluster, "worker": plain(worker)},
    }


def _container_extras(
    env: Env | None, resources: Mapping[str, Any] | None, resources_argument: str
) -> Manifest:
    extras: Manifest = {}
    if env is not None and (variables := parse_env(env)):
        extras["env"] = variables
    if resources is not None and (quantities := parse_resources(resources, resources_argument)):
        extras["resources"] = quantities
    return extras


def _container_port(name: str, port: int) -> Manifest:
    return {"name": name, "containerPort": port, "protocol": "TCP"}


def _service_port(name: str, port: int) -> Manifest:
    return {"name": name, "protocol": "TCP", "port": port, "targetPort": name}


def _health() -> Manifest:
    return {"httpGet": {"port": DASHBOARD, "path": "/health"}}
