"""A real one-node Kubernetes for the end-to-end tests, from package registries alone.

    with Node() as node:
        kubectl --kubeconfig node.kubeconfig get nodes

`README.md` says how to use it, what it is made of, and where things lie.
"""

from tests.e2e.node.commands import Failed
from tests.e2e.node.host import Missing
from tests.e2e.node.node import ControlPlane, Node

__all__ = ["ControlPlane", "Failed", "Missing", "Node"]
