"""How this process reaches a scheduler: decided by what its Service is and by where we are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dask_gpu_k8s.api import names
from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.cluster import scheduler_pod
from dask_gpu_k8s.cluster.arguments import hint
from dask_gpu_k8s.errors import DaskClusterError, InvalidArgument, NotAllowed, StartFailed


class ConnectMode(str, Enum):
    """A way to a scheduler; members compare equal to their values, which is what people write."""

    AUTO = "auto"
    DIRECT = "direct"
    PORT_FORWARD = "port-forward"
    NODE_PORT = "node-port"
    LOAD_BALANCER = "load-balancer"

    def __str__(self) -> str:
        return str(self.value)


AUTO, DIRECT, PORT_FORWARD = ConnectMode.AUTO, ConnectMode.DIRECT, ConnectMode.PORT_FORWARD
NODE_PORT, LOAD_BALANCER = ConnectMode.NODE_PORT, ConnectMode.LOAD_BALANCER

_BY_TYPE = {"NodePort": NODE_PORT, "LoadBalancer": LOAD_BALANCER}
_ADDRESS_TYPES = ("InternalIP", "ExternalIP")


def parse_connect_mode(value: Any) -> ConnectMode:
    """Read a way to connect.

    Raises
    ------
    InvalidArgument
        If it is none of them.
    """
    try:
        return ConnectMode(value.lower().replace("_", "-") if isinstance(value, str) else value)
    except ValueError:
        ways = [mode.value for mode in ConnectMode]
        raise InvalidArgument(
            f"{value!r} is no way to connect{hint(str(value), ways)}",
            where="connect",
            cure=f"Use one of {', '.join(ways)}.",
        ) from None


@dataclass(frozen=True)
class Wish:
    """What the user says about the way.

    Attributes
    ----------
    mode : ConnectMode
    forwards : bool
        Whether ``auto`` may forward.
    node_port_host : str or None
        Where node ports are reached, so that no node needs to be asked for.
    """

    mode: ConnectMode = AUTO
    forwards: bool = True
    node_port_host: str | None = None

    @property
    def is_strict(self) -> bool:
        """Whether nothing may take the place of a way that does not work."""
        return self.mode is not AUTO or not self.forwards

    @property
    def words(self) -> str:
        """Say it as the user did."""
        return "port_forward_cluster_ip=False" if self.mode is AUTO else f'connect="{self.mode}"'


@dataclass(frozen=True)
class Plan:
    """A way to a scheduler.

    Attributes
    ----------
    mode : ConnectMode
        Any but ``auto``.
    host : str
        Empty for a port-forward, whose host is this machine.
    comm : int
        Port of the scheduler; of its Pod, if the way is a port-forward.
    dashboard : int or None
        Port of its dashboard; ``None`` if it cannot be reached that way.
    why : str
        The reason for this way.
    is_second_choice : bool
        Whether the Service promises a better way that is not open.
    """

    mode: ConnectMode
    host: str
    comm: int
    dashboard: int | None
    why: str
    is_second_choice: bool = False


def decide(
    service: Manifest, pod: Manifest, nodes: Sequence[Manifest] | None, *, inside: bool, wish: Wish
) -> Plan:
    """Choose the way to a scheduler.

    Parameters
    ----------
    service : Manifest
        The scheduler's Service, of the type that the user asked for.
    pod : Manifest
        The scheduler.
    nodes : sequence of Manifest or None
        Nodes as far as they matter; ``None`` if they may not be read.
    inside : bool
        Whether this process runs in a Pod.
    wish : Wish

    Returns
    -------
    Plan

    Raises
    ------
    InvalidArgument, NotAllowed, StartFailed
        If the way that the user insists on does not exist.
    """
    mode = meant_mode(service, inside, wish)
    why = _reason(service, inside, wish)
    obstacle = _obstacle(mode, service, pod, nodes, wish)
    if obstacle is not None:
        if wish.is_strict:
            raise obstacle
        mode, why = PORT_FORWARD, str(obstacle)
    host, (comm, board) = "", _ports(service, "port")
    if mode is DIRECT:
        metadata = service["metadata"]
        # No cluster domain, which differs from place to place.
        host = f"{metadata['name']}.{metadata['namespace']}.svc"
        # Somebody else's ports may have any name; then these are the usual ones.
        comm, board = comm or scheduler_pod.COMM_PORT, board or scheduler_pod.DASHBOARD_PORT
    elif mode is PORT_FORWARD:
        comm, board = scheduler_pod.pod_ports(pod)
    elif mode is NODE_PORT:
        host = wish.node_port_host or node_host(pod, nodes or ())
        comm, board = _ports(service, "nodePort")
    else:
        host, comm = balancer_host(service), comm or scheduler_pod.COMM_PORT
    return Plan(mode, host, comm or scheduler_pod.COMM_PORT, board, why, obstacle is not None)


def meant_mode(service: Manifest, inside: bool, wish: Wish) -> ConnectMode:
    """Say which way is the right one, whether it is open or not."""
    if wish.mode is not AUTO:
        return wish.mode
    if inside:
        return DIRECT
    return _BY_TYPE.get(service_type(service)) or (PORT_FORWARD if wish.forwards else DIRECT)


def _reason(service: Manifest, inside: bool, wish: Wish) -> str:
    if wish.mode is not AUTO:
        return f'connect="{wish.mode}"'
    if inside:
        return "this process runs in a Pod"
    forbidden = "" if wish.forwards else ", and port_forward_cluster_ip=False"
    return f"from outside, its Service is of type {service_type(service)}{forbidden}"


def check_type(service: Manifest, wish: Wish) -> None:
    """Refuse a way that a Service of that type can never offer.

    Raises
    ------
    InvalidArgument
    """
    kind = service_type(service)
    wanted = {NODE_PORT: ("NodePort", "LoadBalancer"), LOAD_BALANCER: ("LoadBalancer",)}.get(wish.mode)
    if wanted and kind not in wanted:
        raise InvalidArgument(
            f"the scheduler's {_called(service)} is of type {kind}",
            where=wish.words,
            cure=f'Create the cluster with scheduler_service_type="{wanted[0]}", or say connect="auto".',
        )


def _obstacle(
    mode: ConnectMode, service: Manifest, pod: Manifest, nodes: Sequence[Manifest] | None, wish: Wish
) -> DaskClusterError | None:
    """Say what is in the way of a way."""
    try:
        check_type(service, wish)
    except InvalidArgument as error:
        return error
    if mode is LOAD_BALANCER and not balancer_host(service):
        return StartFailed(
            "no load balancer has given it an address",
            where=_called(service),
            cure='connect="load-balancer" waits for one as long as resource_timeout; '
            'connect="port-forward" needs none.',
        )
    if mode is not NODE_PORT:
        return None
    if _ports(service, "nodePort")[0] is None:
        return StartFailed(
            f"its port {scheduler_pod.COMM_PORT} has no node port",
            where=_called(service),
            cure='connect="port-forward" needs none.',
        )
    if wish.node_port_host:
        return None
    if nodes is None:
        return NotAllowed(
            "the nodes, one of whose addresses is needed, may not be read",
            where=_called(service),
            cure="Say the address of a node with node_port_host=, which needs no rights.",
        )
    if not node_host(pod, nodes):
        return StartFailed(
            "no node that is Ready has an address",
            where=_called(service),
            cure="Say one with node_port_host=.",
        )
    return None


def service_type(service: Manifest) -> str:
    """Return the type of a Service."""
    return str(service["spec"].get("type") or "ClusterIP")


def asked_service(cluster: Manifest) -> Manifest:
    """Make up the Service that a DaskCluster asks for: all that is known where it cannot be read."""
    metadata = cluster["metadata"]
    return {
        "metadata": {"name": names.scheduler(metadata["name"]), "namespace": metadata["namespace"]},
        "spec": cluster["spec"]["scheduler"].get("service") or {},
    }


def balancer_host(service: Manifest) -> str:
    """Find the address that a load balancer has given a Service; empty if it has not yet."""
    given = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    hosts = (each.get("hostname") or each.get("ip") for each in given)
    return next((str(host) for host in hosts if host), "")


def node_host(pod: Manifest, nodes: Sequence[Manifest]) -> str:
    """Find an address for node ports: of the Pod's own node, else of any that is Ready; else empty."""
    own = pod["spec"].get("nodeName")
    # Under externalTrafficPolicy Local, only the Pod's own node answers.
    for node in sorted(nodes, key=lambda node: node["metadata"]["name"] != own):
        addresses = node.get("status", {}).get("addresses") or ()
        by_type = {each["type"]: str(each["address"]) for each in reversed(addresses)}
        found = next((by_type[kind] for kind in _ADDRESS_TYPES if kind in by_type), "")
        if found and scheduler_pod.is_ready(node):
            return found
    return ""


def _ports(service: Manifest, field: str) -> tuple[int | None, int | None]:
    """Return the ports of scheduler and dashboard, as seen in a field of the Service's ports."""
    ends = (
        (scheduler_pod.COMM_NAMES, scheduler_pod.COMM_PORT),
        (scheduler_pod.DASHBOARD_NAMES, scheduler_pod.DASHBOARD_PORT),
    )
    comm, board = (scheduler_pod.service_port(service["spec"], *end) or {} for end in ends)
    return comm.get(field), board.get(field)


def _called(service: Manifest) -> str:
    return f"Service {service['metadata']['namespace']}/{service['metadata']['name']}"
