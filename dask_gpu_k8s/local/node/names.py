"""Names of the cluster and their addresses, as lines of a hosts file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.endpoints import Route, is_ready, selected

DOMAIN = "cluster.local"


def search_domains(namespace: str) -> list[str]:
    """Return the domains in which a Pod's names are looked up, nearest first."""
    return [f"{namespace}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN]


def service_lines(services: Iterable[Manifest], pods: Iterable[Manifest]) -> Iterator[str]:
    """Compute ``address name`` for every Service; of one without an address, those of its Pods."""
    everyone = list(pods)
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        name = f"{meta['name']}.{meta['namespace']}.svc.{DOMAIN}"
        address = spec.get("clusterIP")
        if address and address != "None":
            yield f"{address} {name}"
            continue
        for pod in selected(service, everyone):
            if is_ready(service, pod):
                yield f"{pod['status']['podIP']} {name}"
            if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == meta["name"]:
                yield f"{pod['status']['podIP']} {pod['spec']['hostname']}.{name}"


def pod_lines(pod: Manifest, address: str) -> Iterator[str]:
    """Compute what a Pod's own ``/etc/hosts`` would say."""
    host = hostname(pod)
    domain = pod["spec"].get("subdomain")
    full = f"{host}.{domain}.{search_domains(pod['metadata']['namespace'])[0]} " if domain else ""
    yield f"{address} {full}{host} localhost"
    for alias in pod["spec"].get("hostAliases") or []:
        yield f"{alias['ip']} {' '.join(alias.get('hostnames') or [])}"


def hostname(pod: Manifest) -> str:
    """Return the host name that a Pod sees as its own."""
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def route_lines(routes: Iterable[Route]) -> Iterator[str]:
    """Compute ``address port target:port ...`` for every port of every Service."""
    for route in routes:
        targets = " ".join(f"{address}:{port}" for address, port in route.targets)
        yield f"{route.address} {route.port} {targets}".rstrip()
