from __future__ import annotations

from dask_gpu_k8s.local.machinery.services import NODE_PORTS, ServiceAddresses
from dask_gpu_k8s.local.machinery.store import Store


def node_port(network):
    service = {"spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    return ServiceAddresses(Store(), network).fill(service, None)["spec"]["ports"][0]["nodePort"]


def test_local_kubernetes_of_one_machine_give_out_different_node_ports():
    """They all listen on 127.0.0.1; a port given out twice would lead into the wrong cluster."""
    ports = [node_port(f"127.{number}.0.0/16") for number in range(96, 250, 2)]
    assert len(set(ports)) == len(ports)
    assert set(ports) <= set(NODE_PORTS)
