"""A real one-node Kubernetes, and an API server alone, as context managers."""

import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from tests.e2e.node import build, components, host, images, versions
from tests.e2e.node.api import Api, Object, Refused
from tests.e2e.node.images import Image
from tests.e2e.node.machine import Machine
from tests.e2e.node.pid1 import answers

GPU = "nvidia.com/gpu"


class ControlPlane:
    """etcd and the API server of any release, without controllers and without nodes.

    Parameters
    ----------
    kubernetes : str
        The release, e.g. ``"1.31.14"``.
    detached : bool
        Whether it outlives this process; else it ends with this process, even one that is killed.

    Attributes
    ----------
    kubeconfig : Path
        The administrator's.
    address : str
        Of the machine it runs on; the API server is at port 6443.

    Raises
    ------
    Missing
        If this machine cannot run it.
    Failed
        If something it needs did not work.
    """

    def __init__(self, kubernetes: str = versions.KUBERNETES, *, detached: bool = False) -> None:
        self.kubernetes = kubernetes
        self.detached = detached
        self.kubeconfig = Path()
        self.address = ""
        self._machine: Machine | None = None

    @property
    def machine(self) -> Machine:
        """What it runs on; only while it runs."""
        if self._machine is None:
            raise RuntimeError("Not started: use it in a with statement, or call start().")
        return self._machine

    @property
    def name(self) -> str:
        """What it is called here, and its node in Kubernetes, e.g. ``"e2e-0"``."""
        return self.machine.site.name

    @property
    def api(self) -> Api:
        """The API, as the administrator."""
        return Api(self.address, self.machine.site.pki)

    def start(self) -> "ControlPlane":
        """Build what is not built, start, and return when it can be used."""
        host.prepare()
        self._build()
        self._machine = Machine()
        self.address = self._machine.site.address
        try:
            self.kubeconfig = components.issue_certificates(self._machine.site)
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it and remove every trace. Does nothing the second time."""
        if self._machine is not None:
            machine, self._machine = self._machine, None
            machine.stop()

    def __enter__(self) -> "ControlPlane":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _build(self) -> None:
        self._binaries = build.api_server(self.kubernetes)

    def _start(self) -> None:
        ready = f"{self.machine.site.server}/readyz"
        server = components.api_server(self.machine.site, self._binaries)
        self.machine.start([([components.etcd(), server], ready)], detached=self.detached)
        self.machine.until(lambda: answers(ready), "API server", 60)


class Node(ControlPlane):
    """A Kubernetes of one node: all of it but the hardware, with GPUs that are only claimed.

    Reached from this machine: the API server and NodePorts at `address`, load balancers at addresses of their
    own. Addresses of Pods and Services are not routed: this machine is outside the cluster.

    Parameters
    ----------
    images : callable
        Makes the images that it has from the start, e.g. ``images.standard``.
    detached : bool
        As for `ControlPlane`.

    Attributes
    ----------
    host : str
        The address at which Pods reach this machine.
    """

    def __init__(
        self, images: Callable[[], Sequence[Image]] = images.standard, *, detached: bool = False
    ) -> None:
        super().__init__(detached=detached)
        self._make_images = images
        self.host = ""

    def load(self, *extra: Image) -> None:
        """Bring further images to the running node; Pods must not ask to pull them always."""
        images.load(extra, self.machine.site.containerd)

    def save_logs(self, directory: Path) -> None:
        """Copy the logs of the components, which go when the node goes."""
        directory.mkdir(parents=True, exist_ok=True)
        for log in (self.machine.site.directory / "logs").glob("*.log"):
            (directory / log.name).write_bytes(log.read_bytes())

    def __enter__(self) -> "Node":
        self.start()
        return self

    def _build(self) -> None:
        # Each waits for downloads now and then, and for nothing of the other.
        with ThreadPoolExecutor() as pool:
            binaries = pool.submit(build.node)
            self._images = self._make_images()
            self._binaries = binaries.result()

    def _start(self) -> None:
        machine, site = self.machine, self.machine.site
        self.host = machine.host
        first = [components.containerd(), components.etcd(), components.api_server(site, self._binaries)]
        then = [
            *components.controllers(site, self._binaries),
            *components.node(site, self._binaries),
        ]
        machine.start([(first, f"{site.server}/readyz"), (then, self._dns_ready)], detached=self.detached)
        machine.until(self._containerd_answers, "containerd", 30)
        images.load(self._images, site.containerd)
        machine.until(self._is_ready, "ready node", 90)
        self._claim_gpus()
        machine.until(lambda: answers(self._dns_ready), "cluster DNS", 30)
        machine.until(lambda: answers(f"http://{self.address}:10256/healthz"), "kube-proxy", 30)

    @property
    def _dns_ready(self) -> str:
        return f"http://{self.address}:8181/ready"

    def _containerd_answers(self) -> bool:
        command = ("ctr", "--address", self.machine.site.containerd, "version")
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _is_ready(self) -> bool:
        try:
            node = self.api.get(f"/api/v1/nodes/{self.name}")
            # Pods are refused until their namespace has this account.
            self.api.get("/api/v1/namespaces/default/serviceaccounts/default")
        except (OSError, Refused):
            return False
        return _condition(node, "Ready") == "True"

    def _claim_gpus(self) -> None:
        # The documented way to advertise an extended resource; no device plugin is needed for it.
        amount = {GPU: str(versions.GPUS)}
        self.api.patch_status(f"/api/v1/nodes/{self.name}", {"capacity": amount, "allocatable": amount})


def _condition(obj: Object, kind: str) -> str:
    conditions = obj.get("status", {}).get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == kind), "Unknown")
