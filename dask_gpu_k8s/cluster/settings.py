"""What the user wants: arguments over Dask's configuration over `kubernetes.yaml` beside this file."""

from __future__ import annotations

import getpass
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import dask.config
import yaml

from dask_gpu_k8s.cluster.arguments import parse_cluster_name, parse_count
from dask_gpu_k8s.cluster.modes import CreateMode, parse_create_mode
from dask_gpu_k8s.cluster.ways import ConnectMode, Wish, parse_connect_mode
from dask_gpu_k8s.errors import InvalidArgument, InvalidType

DEFAULTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("kubernetes.yaml").read_text("utf-8"))
dask.config.update_defaults(DEFAULTS)

# Where a key is not the argument's name with dashes.
_KEYS = {"n_workers": "count.start", "jupyter": "scheduler-jupyter"}


@dataclass(frozen=True)
class Settings:
    """Everything that decides what KubeCluster does, resolved and checked.

    Attributes
    ----------
    name : str
        Name of the cluster, with its placeholders filled in.
    namespace : str or None
        ``None`` until the kubeconfig has been read.
    image : str or None
        ``None`` for the default image.
    n_workers : int
    resources, scheduler_resources : mapping
    env : mapping or list
    worker_command : str or list of str
    worker_options, scheduler_options : PodOptions or mapping
    scheduler_service_type : str
    jupyter : bool
    security : bool or distributed.Security
        Whether a cluster that is created speaks TLS; an object says how to connect to one that does.
    scheduler_forward_port : int or None
        Local port of the dashboard.
    port_forward_cluster_ip : bool or None
        Upstream's spelling of `connect`.
    connect : ConnectMode
        What was said; see `wish` for what holds.
    node_port_host : str or None
        Where node ports are reached.
    wish : Wish
        How the scheduler is to be reached, from the three above.
    create_mode : CreateMode
    shutdown_on_close : bool or None
        What the argument said.
    keep_created : bool
        Whether the configuration says that what was created is not deleted.
    idle_timeout, ttl : int
        Seconds; 0 for never.
    resource_timeout : float
        Seconds.
    custom_cluster_spec : str, path, mapping or None
    kubeconfig : str, path, mapping or None
    context : str or None
    """

    name: str
    namespace: str | None
    image: str | None
    n_workers: int
    resources: Mapping[str, Any]
    scheduler_resources: Mapping[str, Any]
    env: Any
    worker_command: Any
    worker_options: Any
    scheduler_options: Any
    scheduler_service_type: str
    jupyter: bool
    security: Any
    scheduler_forward_port: int | None
    port_forward_cluster_ip: bool | None
    connect: ConnectMode
    node_port_host: str | None
    wish: Wish
    create_mode: CreateMode
    shutdown_on_close: bool | None
    keep_created: bool
    idle_timeout: int
    ttl: int
    resource_timeout: float
    custom_cluster_spec: Any
    kubeconfig: Any
    context: str | None


ARGUMENTS = tuple(field.name for field in fields(Settings) if field.name not in ("keep_created", "wish"))
"""Names of the arguments that become settings."""


def resolve(arguments: Mapping[str, Any]) -> Settings:
    """Resolve KubeCluster's arguments.

    Parameters
    ----------
    arguments : mapping
        By name; ``None`` means that the configuration decides.

    Returns
    -------
    Settings

    Raises
    ------
    InvalidArgument, InvalidType
        Naming the argument.
    """
    values = {name: _value(name, argument) for name, argument in arguments.items()}
    port = values["scheduler_forward_port"]
    if port is not None and parse_count(port, "scheduler_forward_port") > 65535:
        raise InvalidArgument(f"{port} is no port", where="scheduler_forward_port")
    values.update(
        name=parse_cluster_name(format_name(values["name"])),
        n_workers=parse_count(values["n_workers"], "n_workers"),
        create_mode=parse_create_mode(values["create_mode"]),
        connect=parse_connect_mode(values["connect"] or ConnectMode.AUTO),
        node_port_host=_host(values["node_port_host"]),
        wish=_wish(arguments),
        idle_timeout=parse_count(values["idle_timeout"] or 0, "idle_timeout"),
        ttl=parse_count(values["ttl"] or 0, "ttl"),
        resource_timeout=_seconds(values["resource_timeout"], "resource_timeout"),
        jupyter=bool(values["jupyter"]),
        security=_security(values["security"]),
        shutdown_on_close=arguments["shutdown_on_close"],
        keep_created=dask.config.get("kubernetes.shutdown-on-close") is False,
    )
    return Settings(**values)


def _value(name: str, argument: Any) -> Any:
    return _configured(name) if argument is None else argument


def _configured(name: str) -> Any:
    key = _KEYS.get(name, name.replace("_", "-"))
    return dask.config.get(f"kubernetes.{key}", default=None)


def _wish(arguments: Mapping[str, Any]) -> Wish:
    """Find how to connect: arguments over configuration, and `connect` over its other spelling."""
    host = _host(_value("node_port_host", arguments["node_port_host"]))
    for said in (arguments.get, _configured):
        mode, forward = said("connect"), said("port_forward_cluster_ip")
        if mode is not None:
            return Wish(parse_connect_mode(mode), node_port_host=host)
        if forward is not None:
            mode = ConnectMode.PORT_FORWARD if forward else ConnectMode.AUTO
            return Wish(mode, forwards=bool(forward), node_port_host=host)
    return Wish(node_port_host=host)


def _security(value: Any) -> Any:
    # An object is known by what is asked of it: this module is imported long before distributed.
    if isinstance(value, bool) or hasattr(value, "get_connection_args"):
        return value
    if value is None:
        return False
    raise InvalidType(f"must be True, False or a distributed.Security, not {value!r}", where="security")


def _host(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value and not set(value) & set(" /")):
        return value
    raise InvalidArgument(
        f"{value!r} is neither a host name nor an address",
        where="node_port_host",
        cure="The port is the Service's and does not belong here.",
    )


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidType(f"must be a number of seconds, not {value!r}", where=where)
    if value <= 0:
        raise InvalidArgument(f"must be more than 0 seconds, not {value}", where=where)
    return float(value)


def format_name(template: Any) -> Any:
    """Fill in a name's placeholders: ``{user}``, ``{uuid}`` and every environment variable.

    Raises
    ------
    InvalidArgument
        For a placeholder that nothing fills.
    """
    if not isinstance(template, str) or "{" not in template:
        return template
    try:
        return template.format(**{**os.environ, "user": user_word(), "uuid": uuid.uuid4().hex[:10]})
    except (KeyError, ValueError, IndexError) as error:
        raise InvalidArgument(
            f"the placeholders of {template!r} cannot be filled in ({error})",
            where="name",
            cure="There are {user}, {uuid} and the environment variables.",
        ) from None


def user_word() -> str:
    """Make a word of the login name that may stand in a resource's name."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run under a number without a name
        login = ""
    word = re.sub(r"[^a-z0-9]+", "-", login.lower()).strip("-")
    return word[:32].rstrip("-") or "user"
