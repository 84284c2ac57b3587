"""Clusters of people whose tokens end while they work, who sit behind a proxy, or have several contexts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import distributed
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from distributed import Client

from dask_gpu_k8s import KubeCluster
from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import Unauthorized
from tests.beside import beside
from tests.clusters import REAL, ROOT
from tests.conftest import Kubernetes
from tests.integration.gate import gate_to
from tests.proxy import Proxy
from tests.tokens import Unexpired

# Dask's own warning, about a node's images that have another Python 3.11 and no numpy.
pytestmark = pytest.mark.filterwarnings("ignore:Mismatched versions found")

IMAGE = f"ghcr.io/dask/dask:{distributed.__version__}"

LIFE = 15
"""Seconds for which a token of the plug-in lives."""

PLUGIN = f"""
import json, pathlib, sys, time
sys.path.insert(0, {str(ROOT)!r})
from cryptography.hazmat.primitives import serialization
from tests.tokens import signed

key, given, namespace, account = sys.argv[1:]
key = serialization.load_pem_private_key(pathlib.Path(key).read_bytes(), None)
end = time.gmtime(time.time() + {LIFE})
token = signed(key, namespace, json.loads(account), {LIFE})
with open(given, "a") as file:
    print(token, file=file)
status = {{"token": token, "expirationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", end)}}
version = "client.authentication.k8s.io/v1"
print(json.dumps({{"apiVersion": version, "kind": "ExecCredential", "status": status}}))
"""


class Tokens:
    """Whoever logs in by a plug-in whose tokens do not live long.

    Attributes
    ----------
    kubeconfig : Path
    """

    def __init__(self, folder: Path, config: dict, namespace: str, key: Path, account: dict) -> None:
        self._given = folder / "given"
        arguments = ["-c", PLUGIN, str(key), str(self._given), namespace, json.dumps(account)]
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": arguments,
        }
        self._config = config
        self._folder = folder
        context = config["contexts"][0]["context"]
        context["namespace"] = namespace
        self.kubeconfig = self._write("config", {"exec": {**plugin, "interactiveMode": "Never"}})

    def _write(self, name: str, user: dict) -> Path:
        config = {
            **self._config,
            "users": [{"name": self._config["contexts"][0]["context"]["user"], "user": user}],
        }
        path = self._folder / name
        path.write_text(json.dumps(config))
        return path

    @property
    def given(self) -> list[str]:
        """All tokens that the plug-in gave."""
        return self._given.read_text().split()

    async def end_of(self, token: str) -> None:
        """Wait until a token is refused."""
        async with KubeClient.connect(self._write("fixed", {"token": token})) as kube:
            with contextlib.suppress(Unauthorized):
                while True:
                    await kube.list(POD)
                    await asyncio.sleep(0.5)


@pytest.fixture
def tokens(kubernetes, tmp_path) -> Iterator[Tokens]:
    """Log in by a plug-in that signs tokens: by the node's own key, or for a gate that takes any key."""
    if kubernetes.kind == REAL:
        if "DASK_K8S_E2E_KUBECONFIG" in os.environ:
            pytest.skip("takes the key with which the API server signs tokens")
        kubernetes.kubectl("create", "serviceaccount", "ana")
        kubernetes.kubectl("apply", "-k", str(ROOT / "deploy" / "notebook"))
        account = f"--serviceaccount={kubernetes.namespace}:ana"
        kubernetes.kubectl("create", "rolebinding", "ana", "--role=dask-notebook", account)
        uid = kubernetes.kubectl("get", "serviceaccount", "ana", "-o", "jsonpath={.metadata.uid}")
        config = yaml.safe_load(kubernetes.kubeconfig.read_text())
        key = kubernetes.kubeconfig.parent / "tokens.key"
        yield Tokens(tmp_path, config, kubernetes.namespace, key, {"name": "ana", "uid": uid})
        return
    key = tmp_path / "key"
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with beside(gate_to(kubernetes.kubeconfig)) as (gate, make):
        gate.tokens = Unexpired()
        yield Tokens(tmp_path, make(), kubernetes.namespace, key, {"name": "ana", "uid": "u"})


def test_row_35_scaling_and_forwarding_after_an_exec_token_has_ended(tokens):
    settings = {"name": "demo", "image": IMAGE, "n_workers": 1, "quiet": True}
    with KubeCluster(kubeconfig=tokens.kubeconfig, **settings) as cluster:
        before = tokens.given
        asyncio.run(tokens.end_of(before[-1]))
        cluster.scale(2)
        # More than there are tunnels that stand ready from before.
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(cluster, set_as_default=False)) for _ in range(6)]
            clients[0].wait_for_workers(2, timeout=60)
            assert [client.submit(sum, [1, 2, 3]).result(timeout=60) for client in clients] == [6] * 6
        assert len(tokens.given) > len(before)


LEAVE = """
import sys, time
from dask_gpu_k8s import KubeCluster

if __name__ == "__main__":
    cluster = KubeCluster(name="demo", n_workers=0, image=sys.argv[1], quiet=True)
    open(sys.argv[2], "w").close()
    sys.stdin.read()  # It goes on when the token has ended.
"""


def test_row_35_a_process_that_leaves_after_its_token_has_ended(kubernetes, tokens, tmp_path):
    """Nothing stays of it: the plug-in is asked once more, in a process that starts no threads any more."""
    command = [sys.executable, "-c", LEAVE, IMAGE, str(tmp_path / "there")]
    environment = {**os.environ, "KUBECONFIG": str(tokens.kubeconfig)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        kubernetes.kubectl("wait", "--for=create", "daskcluster/demo", "--timeout=60s")
        kubernetes.kubectl("wait", "--for=condition=Ready", "daskcluster/demo", "--timeout=60s")
        while not (tmp_path / "there").exists():
            assert process.poll() is None
            time.sleep(0.1)
        before = tokens.given
        asyncio.run(tokens.end_of(before[-1]))
        _, written = process.communicate(b"", timeout=60)
    assert process.returncode == 0, written
    assert b"Traceback" not in written
    assert kubernetes.kubectl("get", "daskclusters", "-o", "name").split() == []
    assert len(tokens.given) > len(before)


def test_row_36_a_cluster_behind_a_proxy(kubernetes: Kubernetes, tmp_path: Path):
    """Requests and port-forwards alike: nobody but the proxy knows the name of the API server."""
    config = yaml.safe_load(kubernetes.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    real = urlsplit(cluster["server"])
    name = f"kubernetes.test:{real.port}"
    with beside(Proxy({name: (real.hostname, real.port)}).open()) as proxy:
        cluster |= {"server": f"https://{name}", "tls-server-name": real.hostname, "proxy-url": proxy.url}
        path = tmp_path / "config"
        path.write_text(json.dumps(config))
        settings = {"name": "demo", "image": IMAGE, "n_workers": 1, "quiet": True, "connect": "port-forward"}
        with KubeCluster(kubeconfig=path, namespace=kubernetes.namespace, **settings) as there:
            there.scale(2)
            with Client(there) as client:
                client.wait_for_workers(2, timeout=60)
                assert client.submit(len, bytes(1_000_000)).result(timeout=60) == 1_000_000
    assert set(proxy.asked) == {name}
    assert kubernetes.kubectl("get", "daskclusters", "-o", "name").split() == []


def test_a_context_and_its_namespace(kubernetes: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`context=` chooses; the namespace is the context's, unless one is said."""
    config = yaml.safe_load(kubernetes.kubeconfig.read_text())
    there = config["contexts"][0]["context"]
    config["contexts"] = [
        {"name": "gone", "context": {**there, "cluster": "gone"}},
        {"name": "team", "context": {**there, "namespace": kubernetes.namespace}},
        {"name": "else", "context": {**there, "namespace": "nowhere"}},
    ]
    config["clusters"].append({"name": "gone", "cluster": {"server": "https://127.0.0.1:9"}})
    config["current-context"] = "gone"
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}{os.pathsep}{path}")
    with KubeCluster(name="demo", n_workers=0, image=IMAGE, quiet=True, context="team") as cluster:
        assert cluster.namespace == kubernetes.namespace
        said = {"context": "else", "namespace": kubernetes.namespace, "quiet": True}
        with KubeCluster.from_name("demo", **said) as again:
            assert again.namespace == kubernetes.namespace
