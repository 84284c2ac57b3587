"""What Python programs in Pods make of names, wildcards and Services."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from dask_gpu_k8s.local.node.host import POD_SITE

_SPEC = importlib.util.spec_from_file_location("_pod_network", POD_SITE / "_pod_network.py")
pod_network = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(pod_network)


@pytest.fixture
def network(tmp_path):
    (tmp_path / "pod").write_text("127.97.0.2 me localhost\n10.0.0.1 alias\n")
    (tmp_path / "cluster").write_text(
        "127.96.0.1 svc.ns.svc.cluster.local\n127.96.0.2 svc.other.svc.cluster.local\n"
        "127.97.0.3 many.ns.svc.cluster.local\n127.97.0.4 many.ns.svc.cluster.local\n"
    )
    (tmp_path / "routes").write_text("127.96.0.1 80 127.97.0.3:8080\n127.96.0.1 81\n")
    hosts = [pod_network.Lines(str(tmp_path / name)) for name in ("pod", "cluster")]
    names = pod_network.Names(hosts, ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local"])
    return pod_network.PodNetwork("127.97.0.2", "me", names, pod_network.Lines(str(tmp_path / "routes")))


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("svc", ["127.96.0.1"]),
        ("SVC.NS", ["127.96.0.1"]),
        ("svc.other", ["127.96.0.2"]),
        ("svc.other.svc", ["127.96.0.2"]),
        ("svc.other.svc.cluster.local", ["127.96.0.2"]),
        ("svc.other.svc.cluster.local.", ["127.96.0.2"]),
        ("svc.", []),
        ("many", ["127.97.0.3", "127.97.0.4"]),
        ("localhost", ["127.97.0.2"]),
        ("alias", ["10.0.0.1"]),
        ("example.com", []),
    ],
)
def test_names(network, name, addresses):
    assert network.names.addresses(name) == addresses


def test_names_that_only_the_cluster_can_know(network):
    with pytest.raises(socket.gaierror, match="Name or service not known"):
        network.names.addresses("gone.ns.svc")


def test_a_file_that_is_replaced_is_read_again(network, tmp_path):
    assert network.names.addresses("new") == []
    (tmp_path / "next").write_text("127.96.0.9 new.ns.svc.cluster.local\n")
    (tmp_path / "next").replace(tmp_path / "cluster")
    assert network.names.addresses("new") == ["127.96.0.9"]
    (tmp_path / "cluster").unlink()
    assert network.names.addresses("new") == ["127.96.0.9"]


STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.mark.parametrize(
    ("family", "kind", "where", "bound"),
    [
        (socket.AF_INET, STREAM, ("", 80), ("127.97.0.2", 80)),
        (socket.AF_INET, STREAM, ("0.0.0.0", 0), ("127.97.0.2", 0)),
        (socket.AF_INET, STREAM, ("svc", 80), ("127.96.0.1", 80)),
        (socket.AF_INET, STREAM, ("127.0.0.1", 80), ("127.0.0.1", 80)),
        (socket.AF_INET, DATAGRAM, ("", 53), ("127.97.0.2", 53)),
        (socket.AF_INET, DATAGRAM, ("", 0), ("", 0)),
        (socket.AF_INET6, STREAM, ("::", 80, 0, 0), ("::ffff:127.97.0.2", 80, 0, 0)),
        (socket.AF_INET6, STREAM, ("::1", 80, 0, 0), ("::1", 80, 0, 0)),
        (socket.AF_UNIX, STREAM, "/path", "/path"),
    ],
)
def test_bind(network, family, kind, where, bound):
    with socket.socket(family, kind) as sock:
        assert network.to_bind(sock, where) == bound


@pytest.mark.parametrize(
    ("family", "where", "reached"),
    [
        (socket.AF_INET, ("svc", 80), ("127.97.0.3", 8080)),
        (socket.AF_INET, ("127.96.0.1", 80), ("127.97.0.3", 8080)),
        (socket.AF_INET, ("127.96.0.1", 443), ("127.96.0.1", 443)),
        (socket.AF_INET, ("192.0.2.1", 80), ("192.0.2.1", 80)),
        (socket.AF_INET6, ("svc", 80, 0, 0), ("::ffff:127.97.0.3", 8080, 0, 0)),
        (socket.AF_INET6, ("::1", 80, 0, 0), ("::1", 80, 0, 0)),
        (socket.AF_UNIX, "/path", "/path"),
    ],
)
def test_connect(network, family, where, reached):
    with socket.socket(family) as sock:
        assert network.to_connect(sock, where) == reached


def test_a_service_without_endpoints_refuses(network):
    with socket.socket() as sock, pytest.raises(ConnectionRefusedError):
        network.to_connect(sock, ("svc", 81))


def test_no_host_means_the_pod(network):
    found = network.getaddrinfo(None, 80, 0, STREAM, 0, socket.AI_PASSIVE)
    assert [info[4] for info in found] == [("127.97.0.2", 80)]
