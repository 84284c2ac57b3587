from __future__ import annotations

import re

import dask.config
import pytest

from dask_gpu_k8s import CreateMode
from dask_gpu_k8s.cluster import settings
from dask_gpu_k8s.cluster.settings import ARGUMENTS, DEFAULTS, format_name, resolve, user_word
from dask_gpu_k8s.errors import InvalidArgument, InvalidType


def resolved(**arguments):
    return resolve({**dict.fromkeys(ARGUMENTS), "name": "demo", **arguments})


# argument: (key of the configuration, a value there, an argument that wins over it)
ALL = {
    "name": ("name", "configured", "said"),
    "namespace": ("namespace", "configured", "said"),
    "image": ("image", "configured", "said"),
    "n_workers": ("count.start", 2, 3),
    "resources": ("resources", {"limits": {"cpu": "1"}}, {"limits": {"cpu": "2"}}),
    "scheduler_resources": ("scheduler-resources", {"limits": {"cpu": "1"}}, {"limits": {"cpu": "2"}}),
    "env": ("env", {"A": "1"}, {"A": "2"}),
    "worker_command": ("worker-command", "dask cuda worker", "dask worker"),
    "worker_options": ("worker-options", {"labels": {"a": "1"}}, {"labels": {"a": "2"}}),
    "scheduler_options": ("scheduler-options", {"labels": {"a": "1"}}, {"labels": {"a": "2"}}),
    "scheduler_service_type": ("scheduler-service-type", "NodePort", "LoadBalancer"),
    "jupyter": ("scheduler-jupyter", True, False),
    "security": ("security", True, False),
    "scheduler_forward_port": ("scheduler-forward-port", 8787, 8788),
    "port_forward_cluster_ip": ("port-forward-cluster-ip", True, False),
    "connect": ("connect", "direct", "port-forward"),
    "node_port_host": ("node-port-host", "10.0.0.1", "node.example.org"),
    "create_mode": ("create-mode", "CONNECT_ONLY", CreateMode.CREATE_ONLY),
    "idle_timeout": ("idle-timeout", 60, 0),
    "ttl": ("ttl", 300, 0),
    "resource_timeout": ("resource-timeout", 10, 20),
    "custom_cluster_spec": ("custom-cluster-spec", "a.yaml", "b.yaml"),
    "kubeconfig": ("kubeconfig", "a.conf", "b.conf"),
    "context": ("context", "a", "b"),
}


def test_every_argument_has_a_key():
    assert set(ALL) | {"shutdown_on_close"} == set(ARGUMENTS)


@pytest.mark.parametrize("argument", ALL)
def test_argument_over_configuration(argument):
    key, configured, said = ALL[argument]
    with dask.config.set({f"kubernetes.{key}": configured}):
        assert getattr(resolve(dict.fromkeys(ARGUMENTS)), argument) == configured
        assert getattr(resolve({**dict.fromkeys(ARGUMENTS), argument: said}), argument) == said


@pytest.mark.parametrize("argument", ALL)
def test_every_key_is_in_the_defaults(argument):
    found = DEFAULTS["kubernetes"]
    for part in ALL[argument][0].split("."):
        assert part in found
        found = found[part]


def test_defaults():
    found = resolved()
    assert (found.n_workers, found.worker_command, found.image) == (0, "dask worker", None)
    assert (found.create_mode, found.resource_timeout) == (CreateMode.CREATE_OR_CONNECT, 60)


def test_shutdown_on_close_in_the_configuration_only_keeps():
    """Upstream's `true` in a configuration must not delete what was only connected to."""
    for configured, keeps in ((None, False), (True, False), (False, True)):
        with dask.config.set({"kubernetes.shutdown-on-close": configured}):
            found = resolved()
            assert (found.shutdown_on_close, found.keep_created) == (None, keeps)
            assert resolved(shutdown_on_close=True).shutdown_on_close is True


def test_the_name_is_filled_in(monkeypatch):
    monkeypatch.setenv("TEAM", "blue")
    monkeypatch.setattr(settings.getpass, "getuser", lambda: "Ada.Lovelace")
    assert re.fullmatch(r"dask-ada-lovelace-[0-9a-f]{10}", format_name("dask-{user}-{uuid}"))
    assert format_name("{TEAM}-1") == "blue-1"


@pytest.mark.parametrize(
    ("login", "word"),
    [("ada", "ada"), ("A.B_c", "a-b-c"), ("DOMAIN\\ada", "domain-ada"), ("-", "user"), ("x" * 60, "x" * 32)],
)
def test_row_26_the_user_in_a_name(monkeypatch, login, word):
    monkeypatch.setattr(settings.getpass, "getuser", lambda: login)
    assert user_word() == word


def test_a_container_without_a_user_name(monkeypatch):
    def fail():
        raise KeyError("uid 1000")

    monkeypatch.setattr(settings.getpass, "getuser", fail)
    assert user_word() == "user"


@pytest.mark.parametrize("template", ["dask-{nobody}", "dask-{", "dask-{0}"])
def test_a_placeholder_that_nothing_fills(template):
    with pytest.raises(InvalidArgument, match=r"^name: the placeholders of .* There are \{user\}, \{uuid\}"):
        format_name(template)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"scheduler_forward_port": 70000}, InvalidArgument, "scheduler_forward_port: 70000 is no port"),
        ({"resource_timeout": 0}, InvalidArgument, "resource_timeout: must be more than 0 seconds"),
        ({"resource_timeout": "60"}, InvalidType, "resource_timeout: must be a number of seconds"),
        ({"connect": "nodeport"}, InvalidArgument, "connect: 'nodeport' is no way to connect (did you mean"),
        ({"node_port_host": "tcp://a"}, InvalidArgument, "node_port_host: 'tcp://a' is neither a host name"),
        ({"node_port_host": 1}, InvalidArgument, "node_port_host: 1 is neither a host name"),
        ({"create_mode": "CREATE"}, InvalidArgument, "create_mode: 'CREATE' is no create mode"),
        ({"n_workers": -1}, InvalidArgument, "n_workers: must be at least 0"),
        ({"name": "a.b"}, InvalidArgument, "name: 'a.b' must start"),
    ],
)
def test_bad_settings(arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        resolved(**arguments)


# what is said, in the configuration and as arguments: the way, and whether `auto` may forward
CONNECTING = [
    ({}, {}, ("auto", True)),
    ({"connect": "node_port"}, {}, ("node-port", True)),
    ({"connect": "DIRECT"}, {"connect": "port-forward"}, ("port-forward", True)),
    ({}, {"port_forward_cluster_ip": True}, ("port-forward", True)),
    ({}, {"port_forward_cluster_ip": False}, ("auto", False)),
    ({"port-forward-cluster-ip": True}, {}, ("port-forward", True)),
    ({}, {"connect": "direct", "port_forward_cluster_ip": True}, ("direct", True)),
    ({"connect": "direct", "port-forward-cluster-ip": True}, {}, ("direct", True)),
    ({"connect": "direct"}, {"port_forward_cluster_ip": True}, ("port-forward", True)),
    ({"port-forward-cluster-ip": False}, {"connect": "auto"}, ("auto", True)),
]


@pytest.mark.parametrize(("configured", "said", "wish"), CONNECTING)
def test_connect_over_its_other_spelling_and_arguments_over_both(configured, said, wish):
    with dask.config.set({f"kubernetes.{key}": value for key, value in configured.items()}):
        found = resolved(**said, node_port_host="10.0.0.1").wish
    assert (found.mode, found.forwards, found.node_port_host) == (*wish, "10.0.0.1")
