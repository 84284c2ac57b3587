from __future__ import annotations

import base64

import pytest
import yaml

from dask_gpu_k8s.kube import config
from dask_gpu_k8s.kube.errors import NoConfig
from dask_gpu_k8s.kube.plugins import Plugin


def make(user=None, **cluster):
    return {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://host:6443/", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """Run as someone without any configuration."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


async def authorization(connection):
    return (await connection.credentials.identity()).headers.get("Authorization")


async def test_a_kubeconfig_as_a_mapping():
    pem = base64.b64encode(b"PEM").decode()
    connection = await config.load(
        make(
            {"token": "t"},
            **{
                "certificate-authority-data": pem,
                "tls-server-name": "name",
                "proxy-url": "http://proxy",
                "insecure-skip-tls-verify": True,
            },
        )
    )
    assert (connection.server, connection.namespace) == ("https://host:6443", "default")
    assert (connection.ca, connection.verify) == (b"PEM", False)
    assert (connection.tls_server_name, connection.proxy) == ("name", "http://proxy")
    assert await authorization(connection) == "Bearer t"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({}, None),
        ({"token": "t"}, "Bearer t"),
        ({"username": "user", "password": "pass"}, "Basic dXNlcjpwYXNz"),
        ({"token": "t", "exec": {"command": "never-run"}}, "Bearer t"),
    ],
)
async def test_users(user, expected):
    assert await authorization(await config.load(make(user))) == expected


async def test_acting_as_somebody_else_is_refused_rather_than_passed_over():
    with pytest.raises(NoConfig, match="user 'u' in the kubeconfig acts as somebody else"):
        await config.load(make({"token": "t", "as": "admin"}))


async def test_a_client_certificate():
    pem = base64.b64encode(b"PEM").decode()
    connection = await config.load(make({"client-certificate-data": pem, "client-key-data": pem}))
    assert (await connection.credentials.identity()).certificate == (b"PEM", b"PEM")


async def test_a_token_file_beside_the_kubeconfig(tmp_path):
    (tmp_path / "token").write_text("from file")
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(make({"tokenFile": "token", "token": "old"})))
    assert await authorization(await config.load(path)) == "Bearer from file"


@pytest.mark.parametrize("user", [{"exec": {"command": "x"}}, {"auth-provider": {"name": "oidc"}}])
async def test_plugins_are_not_run_before_they_are_needed(user):
    assert isinstance((await config.load(make(user))).credentials, Plugin)


async def test_where_is_looked_and_in_which_order(tmp_path, monkeypatch):
    def write(path, server):
        path.parent.mkdir(exist_ok=True)
        content = make()
        content["clusters"][0]["cluster"]["server"] = server
        path.write_text(yaml.safe_dump(content))
        return str(path)

    write(tmp_path / ".kube" / "config", "https://home")
    assert (await config.load()).server == "https://home"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{write(tmp_path / 'env', 'https://env')}")
    assert (await config.load()).server == "https://env"
    assert (await config.load(write(tmp_path / "given", "https://given"))).server == "https://given"


async def test_nothing_anywhere(monkeypatch, tmp_path):
    with pytest.raises(
        NoConfig, match=r"No Kubernetes is configured: .*\.kube/config, and this is not a Pod"
    ):
        await config.load()
    with pytest.raises(NoConfig, match=r"no kubeconfig at .*nowhere"):
        await config.load(tmp_path / "nowhere")
    with pytest.raises(NoConfig, match="context 'x' was asked for"):
        await config.load(context="x")


async def test_a_cluster_without_a_server():
    content = make()
    del content["clusters"][0]["cluster"]["server"]
    with pytest.raises(NoConfig, match="cluster 'c' in the kubeconfig has no server"):
        await config.load(content)


async def test_the_service_account_of_a_pod(tmp_path, monkeypatch):
    assert not config.in_cluster()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    monkeypatch.setattr(config, "SERVICE_ACCOUNT", tmp_path)
    assert config.in_cluster()
    with pytest.raises(NoConfig, match="no service account token"):
        await config.load()
    for name in ("token", "namespace", "ca.crt"):
        (tmp_path / name).write_text(name)
    connection = await config.load()
    assert (connection.server, connection.namespace) == ("https://[fd00::1]:6443", "namespace")
    assert connection.ca == b"ca.crt"
    assert await authorization(connection) == "Bearer token"
