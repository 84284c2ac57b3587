from __future__ import annotations

import pytest

from dask_gpu_k8s.kube.config import Connection
from dask_gpu_k8s.kube.credentials import Fixed, Identity
from dask_gpu_k8s.kube.proxies import proxy_for

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("server", "no_proxy", "proxy"),
    [
        ("https://kubernetes.test:6443", "", PROXY),
        ("https://kubernetes.test:6443", "other.test", PROXY),
        ("https://kubernetes.test:6443", ".test", None),
        ("https://kubernetes.test:6443", "*", None),
        ("https://10.96.0.1:443", "10.96.0.2", PROXY),
        ("https://10.96.0.1:443", "10.96.0.1", None),
        ("https://10.96.0.1:443", ".svc, 10.0.0.0/8", None),
        ("https://11.96.0.1:443", ".svc,10.0.0.0/8", PROXY),
        ("https://[fd00::1]:443", "fd00::/8", None),
        ("https://[fd00::1]:443", "10.0.0.0/8", PROXY),
        ("https://127.0.0.1:6443", "", None),
        ("https://[::1]:6443", "", None),
        ("https://localhost:6443", "", None),
        ("http://kubernetes.test", "", None),
    ],
)
def test_row_36_the_environment_as_kubectl_reads_it(monkeypatch, server, no_proxy, proxy):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(Connection(server, "default", Fixed(Identity()))) == proxy
