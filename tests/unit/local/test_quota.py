"""ResourceQuotas of the embedded Kubernetes: what is counted, and in which words it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from dask_gpu_k8s.api.resources import NAMESPACE, POD, RESOURCEQUOTA, SERVICE
from dask_gpu_k8s.local.api import Api
from dask_gpu_k8s.local.errors import StatusError
from dask_gpu_k8s.local.machinery.quota import Quotas


def an_api(**hard: str) -> Api:
    api = Api()
    api.create(NAMESPACE, None, {"metadata": {"name": "ns"}})
    limits = {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}
    api.create(RESOURCEQUOTA, "ns", {"metadata": {"name": "q"}, "spec": {"hard": limits}})
    return api


def add(api: Api, name: str, **resources: Any) -> None:
    container = {"name": "c", "image": "i", "resources": resources}
    api.create(POD, "ns", {"metadata": {"name": name}, "spec": {"containers": [container]}})


def usage(api: Api) -> Any:
    return Quotas(api.store).with_usage(api.get(RESOURCEQUOTA, "ns", "q"))["status"]["used"]


def test_pods_beyond_the_quota_are_refused_in_kubernetes_words():
    api = an_api(pods="1")
    add(api, "a")
    with pytest.raises(StatusError) as refused:
        add(api, "b")
    assert refused.value.code == 403
    assert refused.value.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )


def test_gpus_and_cpus_are_added_up():
    api = an_api(requests_nvidia_com__gpu="2", cpu="1500m", limits_cpu="3")
    gpu = {"nvidia.com/gpu": "1"}
    add(api, "a", limits={**gpu, "cpu": "1"}, requests={"cpu": "500m"})
    add(api, "b", limits={**gpu, "cpu": "1"})
    assert usage(api) == {"requests.nvidia.com/gpu": "2", "cpu": "1500m", "limits.cpu": "2"}
    with pytest.raises(StatusError, match=r"requested: requests\.nvidia\.com/gpu=1"):
        add(api, "c", limits=gpu)
    add(api, "d")


def test_what_has_ended_uses_nothing():
    api = an_api(pods="1")
    add(api, "a")
    api.patch(POD, "ns", "a", {"status": {"phase": "Failed"}}, sub="status")
    add(api, "b")
    api.delete(POD, "ns", "b")
    add(api, "c")


def test_other_kinds_are_counted():
    api = an_api(services="1")
    service = {"spec": {"ports": [{"port": 80}]}}
    api.create(SERVICE, "ns", {"metadata": {"name": "a"}, **service})
    with pytest.raises(StatusError, match="exceeded quota"):
        api.create(SERVICE, "ns", {"metadata": {"name": "b"}, **service})


def test_another_namespace_is_not_concerned():
    api = an_api(pods="0")
    api.create(
        POD, "default", {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )


def test_scopes_are_refused():
    api = an_api(pods="1")
    spec = {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}
    with pytest.raises(StatusError, match="not supported"):
        api.create(RESOURCEQUOTA, "ns", {"metadata": {"name": "scoped"}, "spec": spec})
