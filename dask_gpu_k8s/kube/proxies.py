"""Which proxy stands between us and an API server, by the rules that kubectl goes by."""

from __future__ import annotations

import ipaddress
import urllib.request
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from dask_gpu_k8s.kube.config import Connection
from dask_gpu_k8s.kube.errors import NoConfig


def proxy_for(connection: Connection) -> str | None:
    """Return the URL of the proxy to use: the kubeconfig's, else the environment's.

    Raises
    ------
    NoConfig
        If it is not an HTTP proxy.
    """
    proxy = connection.proxy or _environment_proxy(urlsplit(connection.server))
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        # Without what may be a password.
        shown = proxy.rpartition("@")[2]
        raise NoConfig(f"The proxy {shown} is not an HTTP proxy; only http:// and https:// proxies work.")
    return proxy


def _environment_proxy(target: SplitResult) -> str | None:
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(target.netloc) or _is_spared(target.hostname or "", proxies.get("no", "")):
        return None
    return proxies.get(target.scheme)


def _is_spared(host: str, no_proxy: str) -> bool:
    """Say whether Go asks no proxy for a host where Python would: this machine, or a network named there."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    for entry in no_proxy.split(","):
        with suppress(ValueError):
            if address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
    return False
