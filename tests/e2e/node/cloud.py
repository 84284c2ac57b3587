"""Plays the cloud: gives each Service of type LoadBalancer an address of its own that is routed to the node.

Runs as a component of the node. As Kubernetes has it, a Service that names a ``loadBalancerClass`` waits for
somebody else: that is how a test gets a load balancer that never comes.
"""

import http.client
import ipaddress
import sys
import time
from pathlib import Path

from tests.e2e.node.api import Api, Object, Refused


def addresses(network: str) -> list[str]:
    """Give the addresses that may be handed out."""
    return [str(address) for address in ipaddress.ip_network(network).hosts()]


def free_address(services: dict[str, Object], pool: list[str]) -> "str | None":
    """Give the first address that no Service has."""
    taken = {given for service in services.values() for given in given_addresses(service)}
    return next((address for address in pool if address not in taken), None)


def given_addresses(service: Object) -> list[str]:
    """Give the addresses in a Service's status."""
    return [one.get("ip", "") for one in service["status"].get("loadBalancer", {}).get("ingress", [])]


def is_waiting(service: Object) -> bool:
    """Whether a Service is ours to serve and has no address yet."""
    spec = service["spec"]
    return (
        spec["type"] == "LoadBalancer" and not spec.get("loadBalancerClass") and not given_addresses(service)
    )


def is_past(service: Object) -> bool:
    """Whether a Service has an address from the time when it still was a LoadBalancer."""
    return service["spec"]["type"] != "LoadBalancer" and bool(given_addresses(service))


def serve(api: Api, pool: list[str]) -> None:
    """List once, then follow the watch for as long as it lasts."""
    listed = api.get("/api/v1/services")
    services: dict[str, Object] = {service["metadata"]["uid"]: service for service in listed["items"]}
    version = listed["metadata"]["resourceVersion"]
    for service in list(services.values()):
        _attend(api, service, services, pool)
    for event in api.watch(f"/api/v1/services?resourceVersion={version}"):
        service = event["object"]
        if event["type"] == "ERROR":
            return
        if event["type"] == "DELETED":
            services.pop(service["metadata"]["uid"], None)
            continue
        services[service["metadata"]["uid"]] = service
        _attend(api, service, services, pool)


def _attend(api: Api, service: Object, services: dict[str, Object], pool: list[str]) -> None:
    metadata = service["metadata"]
    if is_waiting(service):
        address = free_address(services, pool)
        ingress = [{"ip": address}] if address else []
    elif is_past(service):
        ingress = []
    else:
        return
    path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}"
    try:
        changed = api.patch_status(path, {"loadBalancer": {"ingress": ingress}})
    except Refused as error:
        if error.status != 404:  # gone meanwhile
            raise
    else:
        services[metadata["uid"]] = changed
        print(f"{metadata['namespace']}/{metadata['name']}: {ingress}", flush=True)


def main(address: str, pki: str, network: str) -> None:
    """Serve for ever; a lost connection begins anew with a list."""
    api, pool = Api(address, Path(pki)), addresses(network)
    while True:
        try:
            serve(api, pool)
        except (OSError, http.client.HTTPException, Refused) as error:
            print(f"again in a second: {error}", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
