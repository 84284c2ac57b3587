"""Local ports whose connections end at ports of a Pod.

`listener` has the ports, `tunnels` the way to whichever Pod is meant at the moment: some SPDY tunnels that
stand ready, one connection in each (`tunnel`), looked after as `upkeep` decides. Where the server does not
speak that, each connection gets a WebSocket of its own (`channel`).
"""

from dask_gpu_k8s.kube.portforward.listener import LOCALHOST, PortForward
from dask_gpu_k8s.kube.portforward.tunnels import PodIdentity

__all__ = ["LOCALHOST", "PodIdentity", "PortForward"]
