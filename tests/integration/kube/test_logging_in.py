"""Every way to log in that a kubeconfig or a Pod has, against a server that lets nobody else in."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import pytest
import yaml
from aiohttp import web
from cryptography import x509

from dask_gpu_k8s.api.resources import POD
from dask_gpu_k8s.kube import config
from dask_gpu_k8s.kube.client import KubeClient
from dask_gpu_k8s.kube.errors import NoConfig, Unauthorized
from dask_gpu_k8s.kube.pairs import sign_pair
from dask_gpu_k8s.local.tls import make_certificates
from tests.conftest import KUBECTL
from tests.integration.kube.scripted import kubeconfig, serve, status

VERSION = "client.authentication.k8s.io/v1"


class Door:
    """A server that lets in whom a test names.

    Attributes
    ----------
    welcome : set
        ``Authorization`` headers and names in client certificates that are let in.
    seen : list
        What was shown, for each request: header and name.
    """

    def __init__(self, *welcome):
        self.welcome = set(welcome)
        self.seen = []

    async def handle(self, request):
        peer = request.transport.get_extra_info("peercert")
        name = dict(part[0] for part in peer["subject"])["commonName"] if peer else None
        shown = request.headers.get("Authorization")
        self.seen.append((shown, name))
        if not self.welcome & {shown, name}:
            return status(401, "Unauthorized")
        return web.json_response({"metadata": {}, "items": []})


def program(tmp_path, text, name="plugin"):
    """Write a program that plays a plug-in; `answer(**status)` prints what one does."""
    path = tmp_path / name
    path.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "def answer(**status):\n"
        f"    print(json.dumps(dict(apiVersion={VERSION!r}, kind='ExecCredential', status=status)))\n"
        "def count():\n"
        "    with open(here / 'runs', 'a') as runs: runs.write('x')\n"
        "    return (here / 'runs').stat().st_size\n" + text
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def runs(tmp_path):
    return (tmp_path / "runs").stat().st_size


def plugin(command, **more):
    return {"exec": {"apiVersion": VERSION, "command": str(command), "interactiveMode": "Never", **more}}


def client_pair(name):
    start = datetime.now(timezone.utc) - timedelta(hours=1)
    return sign_pair(f"{name}-ca", name, [], [x509.OID_CLIENT_AUTH], (start, start + timedelta(days=1)))


def tls_that_asks(tmp_path, *pairs):
    """Make a server's TLS context that wants to see a certificate; and the authority of its own."""
    own = make_certificates([], ["127.0.0.1"])
    context = own.server_context(tmp_path)
    context.verify_mode = context.verify_mode.CERT_REQUIRED
    context.load_verify_locations(cadata="".join(pair.authority.decode() for pair in pairs))
    return context, {"certificate-authority-data": base64.b64encode(own.authority).decode()}


def as_user(found, user, **cluster):
    """Return a kubeconfig with another user."""
    return kubeconfig(found["clusters"][0]["cluster"]["server"], user, **cluster)


@pytest.mark.parametrize("inline", [True, False])
async def test_a_client_certificate(tmp_path, inline):
    pair = client_pair("ana")
    tls, cluster = tls_that_asks(tmp_path, pair)
    door = Door("ana")
    files = {"client-certificate": pair.certificate, "client-key": pair.key}
    for name, pem in files.items():
        (tmp_path / name).write_bytes(pem)
    user = (
        {f"{name}-data": base64.b64encode(pem).decode() for name, pem in files.items()}
        if inline
        else {name: str(tmp_path / name) for name in files}
    )
    async with serve(door.handle, tls) as found, KubeClient.connect(as_user(found, user, **cluster)) as kube:
        await kube.list(POD)
    assert door.seen == [(None, "ana")]


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "ana", "password": "secret"}, "Basic YW5hOnNlY3JldA=="),
    ],
)
async def test_a_token_or_a_password(user, shown):
    door = Door(shown)
    async with serve(door.handle) as found, KubeClient.connect(as_user(found, user)) as kube:
        await kube.list(POD)
    async with serve(Door().handle) as found, KubeClient.connect(as_user(found, user)) as kube:
        with pytest.raises(Unauthorized):
            await kube.list(POD)


async def test_a_token_file_that_is_replaced(tmp_path):
    token = tmp_path / "token"
    token.write_text("one")
    door = Door("Bearer one")
    user = {"tokenFile": str(token)}
    async with serve(door.handle) as found, KubeClient.connect(as_user(found, user)) as kube:
        await kube.list(POD)
        token.write_text("two")
        door.welcome = {"Bearer two"}
        await kube.create(POD, {"metadata": {"name": "p"}})
    assert [shown for shown, _ in door.seen] == ["Bearer one", "Bearer one", "Bearer two"]


async def test_the_token_of_a_pod_which_its_kubelet_replaces(tmp_path, monkeypatch):
    certificates = make_certificates([], ["127.0.0.1"])
    tls = certificates.server_context(tmp_path)
    for name, text in (("token", "one"), ("namespace", "team"), ("ca.crt", certificates.authority.decode())):
        (tmp_path / name).write_text(text)
    door = Door("Bearer one")
    async with serve(door.handle, tls) as found:
        host, port = found["clusters"][0]["cluster"]["server"].removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        monkeypatch.setattr(config, "SERVICE_ACCOUNT", tmp_path)
        async with KubeClient.connect() as kube:
            assert kube.namespace == "team"
            await kube.list(POD)
            (tmp_path / "new").write_text("two")
            (tmp_path / "new").replace(tmp_path / "token")
            door.welcome = {"Bearer two"}
            await kube.list(POD)


EXPIRING = """
until = time.time() + {seconds}
stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
answer(token=f"{{count()}}-{{until}}", expirationTimestamp=stamp)
"""


class Clock(Door):
    """A door that takes tokens which say themselves until when."""

    async def handle(self, request):
        shown = request.headers["Authorization"]
        if float(shown.rpartition("-")[2]) > time.time():
            self.welcome.add(shown)
        else:
            self.welcome.discard(shown)
        return await super().handle(request)


async def test_row_35_an_exec_token_is_renewed_before_it_ends(tmp_path):
    """No request is ever refused: a token that lives for 31 seconds is used for the first of them."""
    door = Clock()
    user = plugin(program(tmp_path, EXPIRING.format(seconds=31)))
    async with serve(door.handle) as found, KubeClient.connect(as_user(found, user)) as kube:
        while len({shown for shown, _ in door.seen}) < 3:
            await kube.list(POD)
            await asyncio.sleep(0.05)
    assert len(door.seen) > 3, "a token is used for more than one request"


async def test_row_35_an_exec_token_that_ends_early_is_renewed_whatever_the_verb(tmp_path):
    user = plugin(program(tmp_path, "answer(token=f'token-{count()}')"))
    door = Door("Bearer token-1")
    async with serve(door.handle) as found, KubeClient.connect(as_user(found, user)) as kube:
        await kube.list(POD)
        door.welcome = {"Bearer token-2"}
        await kube.create(POD, {"metadata": {"name": "p"}})
        await kube.list(POD)
    assert runs(tmp_path) == 2


async def test_a_plugin_that_gives_what_the_server_does_not_take(tmp_path):
    user = plugin(program(tmp_path, "answer(token=f'token-{count()}')"))
    async with serve(Door().handle) as found, KubeClient.connect(as_user(found, user)) as kube:
        with pytest.raises(Unauthorized):
            await kube.create(POD, {"metadata": {"name": "p"}})
    assert runs(tmp_path) == 2


PAIRS = """
number = count()
token = dict(token="abc") if number == 3 else {}
answer(clientCertificateData=(here / f"{number}.crt").read_text(),
       clientKeyData=(here / f"{number}.key").read_text(), **token)
"""


async def test_row_35_a_plugin_that_gives_certificates(tmp_path):
    """An old certificate is not shown again, not even by a connection that is still open."""
    pairs = {str(number): client_pair(f"ana-{number}") for number in (1, 2, 3)}
    for number, pair in pairs.items():
        (tmp_path / f"{number}.crt").write_bytes(pair.certificate)
        (tmp_path / f"{number}.key").write_bytes(pair.key)
    tls, cluster = tls_that_asks(tmp_path, *pairs.values())
    door = Door("ana-1")
    user = plugin(program(tmp_path, PAIRS))
    async with serve(door.handle, tls) as found, KubeClient.connect(as_user(found, user, **cluster)) as kube:
        await asyncio.gather(*(kube.list(POD) for _ in range(5)))
        for welcome in ("ana-2", "ana-3"):
            door.welcome = {welcome}
            await asyncio.gather(*(kube.create(POD, {"metadata": {"name": "p"}}) for _ in range(5)))
    assert door.seen[-1] == ("Bearer abc", "ana-3"), "it may give both"
    assert runs(tmp_path) == 3


async def test_a_certificate_of_a_plugin_is_renewed_when_it_says_so(tmp_path):
    pair = client_pair("ana")
    (tmp_path / "crt").write_bytes(pair.certificate)
    (tmp_path / "key").write_bytes(pair.key)
    tls, cluster = tls_that_asks(tmp_path, pair)
    text = (
        "stamp = '2001-01-01T00:00:00Z' if count() == 1 else '2999-01-01T00:00:00Z'\n"
        "answer(clientCertificateData=(here / 'crt').read_text(), clientKeyData=(here / 'key').read_text(),"
        " expirationTimestamp=stamp)"
    )
    user = plugin(program(tmp_path, text))
    async with serve(Door("ana").handle, tls) as found:
        async with KubeClient.connect(as_user(found, user, **cluster)) as kube:
            await kube.list(POD)
            while runs(tmp_path) < 2:
                await kube.list(POD)
                await asyncio.sleep(0.05)


async def test_a_plugin_does_not_hold_up_the_loop(tmp_path):
    """It asks this loop for the token, which a loop that waits for it could not give."""

    async def give(reader, writer):
        writer.write(b"abc")
        writer.close()

    server = await asyncio.start_server(give, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    text = f"import socket\nanswer(token=socket.create_connection({address}).recv(9).decode())"
    user = plugin(program(tmp_path, text))
    async with server, serve(Door("Bearer abc").handle) as found:
        async with KubeClient.connect(as_user(found, user)) as kube:
            await asyncio.wait_for(kube.list(POD), 30)


async def test_many_requests_ask_a_plugin_once(tmp_path):
    user = plugin(program(tmp_path, "count(); answer(token='abc')"))
    async with serve(Door("Bearer abc").handle) as found, KubeClient.connect(as_user(found, user)) as kube:
        await asyncio.gather(*(kube.list(POD) for _ in range(20)))
    assert runs(tmp_path) == 1


async def test_arguments_and_environment_of_a_plugin_beside_its_kubeconfig(tmp_path):
    """A relative path is seen from the kubeconfig, as kubectl does; a bare name is looked up."""
    text = "answer(token=sys.argv[1] + os.environ['MORE'])"
    (tmp_path / "bin").mkdir()
    program(tmp_path, text, "bin/plugin")
    more = {"args": ["abc"], "env": [{"name": "MORE", "value": "def"}]}
    async with serve(Door("Bearer abcdef").handle) as found:
        for command in ("bin/plugin", "./bin/plugin"):
            path = tmp_path / "config"
            path.write_text(yaml.safe_dump(as_user(found, plugin(command, **more))))
            async with KubeClient.connect(path) as kube:
                await kube.list(POD)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sys.exit('no session: run login')", "no session: run login"),
        ("print('no JSON')", "failed to decode"),
        ("answer()", "neither a token nor a certificate with its key"),
        ("answer(clientCertificateData='x')", "neither a token nor a certificate with its key"),
    ],
)
async def test_a_plugin_that_fails_is_quoted(tmp_path, text, said):
    async with KubeClient.connect(kubeconfig("http://127.0.0.1:9", plugin(program(tmp_path, text)))) as kube:
        with pytest.raises(NoConfig, match=f"plug-in of context 'x' failed: .*{said}"):
            await kube.list(POD)


async def test_a_plugin_that_is_not_installed():
    user = plugin("no-such-program", installHint="Get it at example.org.")
    async with KubeClient.connect(kubeconfig("http://127.0.0.1:9", user)) as kube:
        with pytest.raises(NoConfig, match=r"no program 'no-such-program'\. Get it at example\.org"):
            await kube.list(POD)


def id_token(seconds):
    """Make an unsigned token of OpenID Connect that ends in so many seconds."""
    claims = json.dumps({"exp": int(time.time() + seconds)}).encode()
    return f"e30.{base64.b64encode(claims).decode()}.x"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_asyncio")
async def test_openid_connect_refreshes_a_token_that_has_ended(tmp_path):
    fresh = id_token(3600)

    async def provider(request):
        if request.path.endswith("openid-configuration"):
            return web.json_response({"token_endpoint": str(request.url.with_path("/token"))})
        sent = await request.post()
        assert (sent["grant_type"], sent["refresh_token"]) == ("refresh_token", "again")
        return web.json_response({"id_token": fresh, "refresh_token": "and again"})

    door = Door(f"Bearer {fresh}")
    async with serve(provider) as identity, serve(door.handle) as found:
        settings = {
            "client-id": "c",
            "client-secret": "s",
            "idp-issuer-url": identity["clusters"][0]["cluster"]["server"],
            "id-token": id_token(-1),
            "refresh-token": "again",
        }
        path = tmp_path / "config"
        path.write_text(
            yaml.safe_dump(as_user(found, {"auth-provider": {"name": "oidc", "config": settings}}))
        )
        async with KubeClient.connect(path) as kube:
            await kube.list(POD)
    kept = yaml.safe_load(path.read_text())["users"][0]["user"]["auth-provider"]["config"]
    assert (kept["id-token"], kept["refresh-token"]) == (fresh, "and again"), "kubectl goes on from there"
    assert door.seen == [(f"Bearer {fresh}", None)]


def write(path, **content):
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **content}))
    return str(path)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl says what is right")
@pytest.mark.parametrize("context", [None, "second"])
async def test_several_kubeconfigs_are_merged_as_kubectl_does(tmp_path, monkeypatch, context):
    """The first file to name a thing wins, current-context too."""
    first = write(
        tmp_path / "one",
        **{"current-context": "first"},
        clusters=[{"name": "c", "cluster": {"server": "https://one:1"}}],
        contexts=[{"name": "second", "context": {"cluster": "d", "user": "u", "namespace": "from-one"}}],
    )
    second = write(
        tmp_path / "two",
        **{"current-context": "second"},
        clusters=[
            {"name": "c", "cluster": {"server": "https://two:2"}},
            {"name": "d", "cluster": {"server": "https://two:3"}},
        ],
        contexts=[
            {"name": "first", "context": {"cluster": "c", "user": "u"}},
            {"name": "second", "context": {"cluster": "c", "user": "u"}},
        ],
        users=[{"name": "u", "user": {"token": "t"}}],
    )
    empty = tmp_path / "empty"
    empty.touch()
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "none"), first, str(empty), second]))
    chosen = ["--context", context] if context else []
    command = [KUBECTL, *chosen, "config", "view", "--minify", "--raw", "-o", "json"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, text=True)
    expected = json.loads(done.stdout)
    found = await config.load(context=context)
    assert found.server == expected["clusters"][0]["cluster"]["server"]
    assert found.namespace == expected["contexts"][0]["context"].get("namespace", "default")
    shown = (await found.credentials.identity()).headers["Authorization"]
    assert shown == f"Bearer {expected['users'][0]['user']['token']}"


async def test_a_plugin_in_the_second_of_several_kubeconfigs(tmp_path, monkeypatch):
    """A file that is empty, and one without users, are in the way of no plug-in."""
    folder = tmp_path / "two"
    folder.mkdir()
    program(folder, "answer(token='abc')")
    async with serve(Door("Bearer abc").handle) as found:
        whole = as_user(found, plugin("./plugin"))
        one = write(tmp_path / "one", **{"current-context": "x", "users": None})
        two = write(folder / "config", **{key: whole[key] for key in ("clusters", "contexts", "users")})
        (tmp_path / "empty").touch()
        monkeypatch.setenv("KUBECONFIG", os.pathsep.join([one, str(tmp_path / "empty"), two]))
        async with KubeClient.connect() as kube:
            await kube.list(POD)
