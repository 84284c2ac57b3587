"""The programs of the node: which there are, with which arguments and files they run, and in what order."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.node import versions
from tests.e2e.node.pki import API_SERVER_NAMES, Authority
from tests.e2e.node.places import REPOSITORY

SERVICE_NETWORK = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
POD_NETWORK = "10.244.0.0/24"
ISSUER = "https://kubernetes.default.svc.cluster.local"

Component = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """Where a node lies: its name, its folder, its addresses."""

    name: str
    directory: Path
    cgroup: str
    address: str
    external: str

    @property
    def pki(self) -> Path:
        return self.directory / "pki"

    @property
    def server(self) -> str:
        return f"https://{self.address}:6443"

    @property
    def containerd(self) -> Path:
        return self.directory / "containerd.sock"


def issue_certificates(site: Site) -> Path:
    """Make the keys of all components and return the kubeconfig of the administrator."""
    authority = Authority.create(site.pki)
    addresses = (site.address, "127.0.0.1", FIRST_SERVICE)
    authority.issue("apiserver", "kube-apiserver", names=API_SERVER_NAMES, addresses=addresses)
    authority.issue("admin", "admin", groups=["system:masters"])
    node = f"system:node:{site.name}"
    authority.issue("kubelet", node, groups=["system:nodes"], names=[site.name], addresses=[site.address])
    for component in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        authority.issue(component, f"system:{component}")
        authority.kubeconfig(component, site.server)
    authority.kubeconfig("kubelet", site.server)
    return authority.kubeconfig("admin", site.server)


def etcd() -> Component:
    """Debian's etcd; it need not survive a power cut."""
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    argv = ["etcd", "--data-dir", "etcd", "--listen-client-urls", client, "--advertise-client-urls", client]
    return _component("etcd", *argv, "--listen-peer-urls", peer, "--unsafe-no-fsync", "--log-level", "warn")


def api_server(site: Site, binaries: Path) -> Component:
    """With the admission of OpenShift that checks who may set blockOwnerDeletion."""
    return _component(
        "kube-apiserver",
        binaries / "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={site.address}",
        "--bind-address=0.0.0.0",
        "--tls-cert-file=pki/apiserver.crt",
        "--tls-private-key-file=pki/apiserver.key",
        "--client-ca-file=pki/ca.crt",
        "--service-account-key-file=pki/tokens.pub",
        "--service-account-signing-key-file=pki/tokens.key",
        f"--service-account-issuer={ISSUER}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
        "--kubelet-client-certificate=pki/admin.crt",
        "--kubelet-client-key=pki/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
    )


def controllers(site: Site, binaries: Path) -> list[Component]:
    """What makes a cluster of an API server."""
    manager, scheduler = "kube-controller-manager", "kube-scheduler"
    return [
        _component(
            manager,
            binaries / manager,
            *_identity(manager),
            "--service-account-private-key-file=pki/tokens.key",
            "--root-ca-file=pki/ca.crt",
            "--use-service-account-credentials=true",
            f"--flex-volume-plugin-dir={site.directory}/plugins",
        ),
        _component(scheduler, binaries / scheduler, *_identity(scheduler)),
    ]


def node(site: Site, binaries: Path) -> list[Component]:
    """What makes a node of a machine, and a cloud around it."""
    files = {
        "containerd.toml": _containerd(site),
        "cni/10-bridge.conflist": json.dumps(_cni()),
        "kubelet.json": json.dumps(_kubelet(site)),
        "kube-proxy.json": json.dumps(_proxy(site)),
        "Corefile": _corefile(site),
        "resolv.conf": "",
    }
    for name, text in files.items():
        path = site.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    kubelet = (
        binaries / "kubelet",
        "--config=kubelet.json",
        "--kubeconfig=pki/kubelet.conf",
        f"--hostname-override={site.name}",
        f"--node-ip={site.address}",
        f"--root-dir={site.directory}/kubelet",
        "--cert-dir=pki",
    )
    cloud = _component(
        "cloud", sys.executable, "-m", "tests.e2e.node.cloud", site.address, site.pki, site.external
    )
    return [
        _component("kubelet", *kubelet),
        _component("kube-proxy", binaries / "kube-proxy", "--config=kube-proxy.json"),
        _component("coredns", binaries / "coredns", "-conf", "Corefile"),
        {**cloud, "cwd": str(REPOSITORY)},
    ]


def containerd() -> Component:
    """Debian's containerd."""
    return _component("containerd", "containerd", "-c", "containerd.toml")


def _component(name: str, *argv: str | Path) -> Component:
    return {"name": name, "argv": [str(word) for word in argv]}


def _identity(component: str) -> list[str]:
    kubeconfig = f"pki/{component}.conf"
    flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [*(f"--{flag}={kubeconfig}" for flag in flags), "--leader-elect=false"]


def _containerd(site: Site) -> str:
    # Below /run, which lies in memory: images unpack in no time there, and vanish with the node.
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE no container starts otherwise.
    return f"""\
version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
[grpc]
  address = "{site.containerd}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{versions.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{site.directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def _cni() -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": POD_NETWORK}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "bridge", "plugins": [{**bridge, "ipam": addresses}, ports]}


def _kubelet(site: Site) -> dict[str, Any]:
    nothing = {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"}
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{site.containerd}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{site.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{site.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{site.pki}/kubelet.key",
        "clusterDNS": [site.address],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{site.directory}/resolv.conf",
        "volumePluginDir": f"{site.directory}/plugins",
        "maxPods": 250,
        # A full disk of the machine is not this node's business.
        "evictionHard": {**nothing, "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        # Machines of many kinds: cgroups of version 1, no /dev/kmsg, settings of the kernel not writable.
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{site.cgroup}",
        "enforceNodeAllocatable": [],
        "featureGates": {"KubeletInUserNamespace": True},
    }


def _proxy(site: Site) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{site.pki}/kube-proxy.conf"},
        "hostnameOverride": site.name,
        "mode": "iptables",
        "clusterCIDR": POD_NETWORK,
        # Limits of connection tracking belong to the machine and are not writable.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _corefile(site: Site) -> str:
    return f"""\
.:53 {{
  errors
  bind {site.address}
  ready {site.address}:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {site.pki}/admin.conf e2e
    pods insecure
  }}
  cache 5
}}
"""
