"""What a client shows to a scheduler that speaks TLS, and what it says where it has nothing to show."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
from distributed.security import Security

from dask_gpu_k8s import errors
from dask_gpu_k8s.cluster.cluster import KubeCluster
from dask_gpu_k8s.cluster.security import find_security
from dask_gpu_k8s.cluster.spec import make_cluster_spec
from dask_gpu_k8s.kube.errors import api_error

PARTS = {"ca.crt": "ca\n", "tls.crt": "certificate\n", "tls.key": "key\n"}


class Kube:
    """An API server that gives one answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def get(self, resource, name, namespace):
        self.asked.append(f"{resource.plural} {namespace}/{name}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def a_cluster(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "demo", "namespace": "ns"}, "spec": spec}


def a_secret(**data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"metadata": {"name": "demo-tls"}, "data": encoded}


def refusal(code: int, reason: str) -> Exception:
    body = {"kind": "Status", "reason": reason, "message": f"it is {reason}", "details": {"name": "demo-tls"}}
    return api_error(code, body, "get secrets ns/demo-tls")


async def test_the_certificates_of_the_clusters_secret():
    kube = Kube(a_secret(**PARTS, **{"next.key": "not for us"}))
    security = await find_security(kube, a_cluster(security=True), False)
    assert kube.asked == ["secrets ns/demo-tls"]
    assert security.require_encryption
    assert security.tls_ca_file == "ca\n"
    for role in ("client", "scheduler", "worker"):
        assert security.get_tls_config_for_role(role)["cert"] == "certificate\n"
        assert security.get_tls_config_for_role(role)["key"] == "key\n"


async def test_a_secret_of_the_users_own():
    kube = Kube(a_secret(**PARTS))
    await find_security(kube, a_cluster(security=True, securitySecret="mine"), False)
    assert kube.asked == ["secrets ns/mine"]


@pytest.mark.parametrize("spec", [{}, {"security": False}, {"securitySecret": "unused"}])
async def test_a_cluster_without_tls_is_asked_nothing(spec):
    kube = Kube(a_secret(**PARTS))
    assert await find_security(kube, a_cluster(**spec), True) is None
    assert kube.asked == []


async def test_what_the_user_hands_over_is_used_and_no_secret_is_read():
    kube, own = Kube(refusal(403, "Forbidden")), Security()
    assert await find_security(kube, a_cluster(security=True), own) is own
    assert kube.asked == []


SAID = {
    "forbidden": (
        refusal(403, "Forbidden"),
        errors.NotAllowed,
        "DaskCluster ns/demo: it speaks TLS, and Secret 'demo-tls' with its certificates may not be read "
        "(it is Forbidden). Ask for a Role with the verb get on the secret demo-tls",
    ),
    "missing": (
        refusal(404, "NotFound"),
        errors.StartFailed,
        "DaskCluster ns/demo: it speaks TLS, but Secret 'demo-tls' with its certificates is not there",
    ),
    "empty": (
        a_secret(**{"ca.crt": "ca"}),
        errors.StartFailed,
        "'demo-tls' with its certificates has no tls.crt, tls.key",
    ),
}


@pytest.mark.parametrize("case", SAID)
async def test_row_39_who_has_no_certificates_is_told_why(case):
    answer, error, message = SAID[case]
    with pytest.raises(error, match=re.escape(message)):
        await find_security(Kube(answer), a_cluster(security=True), False)


def test_jupyter_and_security_exclude_each_other():
    with pytest.raises(errors.InvalidArgument, match=r"jupyter: a Jupyter server .* runs code for whoever"):
        make_cluster_spec("demo", security=True, jupyter=True)


async def test_a_new_cluster_takes_no_certificates():
    with pytest.raises(errors.InvalidArgument, match=r"security: a Security object says how to connect"):
        KubeCluster(name="demo", security=Security(), asynchronous=True)
    KubeCluster.from_name("demo", security=Security(), asynchronous=True)


async def test_a_client_must_wait_for_the_certificates():
    cluster = KubeCluster(name="demo", security=True, asynchronous=True)
    with pytest.raises(errors.DaskClusterError, match=r"not known before it is started. Await the cluster"):
        _ = cluster.security
    assert KubeCluster(name="demo", asynchronous=True).security is None


def test_neither_yes_nor_no():
    with pytest.raises(errors.InvalidType, match=r"security: must be True, False or a distributed.Security"):
        KubeCluster(name="demo", security="yes", asynchronous=True)
