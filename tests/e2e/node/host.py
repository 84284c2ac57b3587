"""What this machine must offer: root, Linux with namespaces, and a few programs that Debian packages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.node.commands import Failed, run

# Program (or file) -> Debian package that brings it.
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "etcd": "etcd-server",
    "ip": "iproute2",
    "unshare": "util-linux",
    "dpkg-deb": "dpkg",
}
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
POLICY = Path("/usr/sbin/policy-rc.d")


class Missing(Failed):
    """This machine cannot run the node; the message says why."""


def missing() -> dict[str, str]:
    """Give what is not there of `PROGRAMS`."""
    return {program: package for program, package in PROGRAMS.items() if not _there(program)}


def _there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program, path=PATH) is not None


def prepare() -> None:
    """Install what is missing with apt-get, or say what is missing and what to do instead.

    Raises
    ------
    Missing
        Without root; or if programs are missing and there is no apt-get.
    """
    absent = missing()
    hint = "Or name a cluster of your own (kind, k3d, ...): export DASK_K8S_E2E_KUBECONFIG=<kubeconfig>."
    if os.geteuid() != 0:
        also = f" It also lacks {', '.join(absent)}." if absent else ""
        raise Missing(f"The end-to-end node needs root (namespaces, mounts, iptables).{also} {hint}")
    if not absent:
        return
    if shutil.which("apt-get") is None:
        raise Missing(f"This machine lacks {', '.join(absent)}, and is no Debian to apt-get them. {hint}")
    packages = sorted(set(absent.values()))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        run("apt-get", "update", "-qq", env=environment)
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, env=environment)
    still = missing()
    if still:
        raise Missing(f"apt-get installed {', '.join(packages)}, yet {', '.join(still)} is not there. {hint}")


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep the packages from starting etcd and containerd on the machine itself: the node has its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
