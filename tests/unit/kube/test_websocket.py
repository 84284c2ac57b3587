from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.kube import websocket as ws

payloads = st.binary(min_size=1, max_size=300)


def test_port_forward_opens_each_channel_with_its_port():
    opening = ws.PortForwardServer([8786, 80]).opening()
    assert opening == [b"\x00\x52\x22", b"\x01\x52\x22", b"\x02\x50\x00", b"\x03\x50\x00"]
    client = ws.PortForwardClient(2)
    assert [client.receive(message) for message in opening] == [None] * 4


@given(port=st.integers(1, 65535), sent=st.lists(payloads), answered=st.lists(payloads))
def test_port_forward_bytes_arrive_as_they_were(port, sent, answered):
    server, client = ws.PortForwardServer([port]), ws.PortForwardClient()
    for message in server.opening():
        client.receive(message)
    assert [server.receive(client.data(0, data)) for data in sent] == [ws.Data(0, data) for data in sent]
    assert [client.receive(server.data(0, data)) for data in answered] == [
        ws.Data(0, data) for data in answered
    ]


def test_two_bytes_of_data_are_not_taken_for_a_port():
    server, client = ws.PortForwardServer([80]), ws.PortForwardClient()
    client.receive(server.opening()[0])
    assert client.receive(server.data(0, b"P\x00")) == ws.Data(0, b"P\x00")


def test_port_forward_failure():
    server, client = ws.PortForwardServer([80]), ws.PortForwardClient()
    for message in server.opening():
        client.receive(message)
    assert client.receive(server.failure(0, "connection refused")) == ws.Failure(0, "connection refused")


def test_port_forward_ignores_empty_data_and_what_a_client_says_on_the_error_channel():
    server, client = ws.PortForwardServer([80]), ws.PortForwardClient()
    for message in server.opening():
        client.receive(message)
    assert client.receive(b"\x00") is None
    assert server.receive(b"\x00") is None
    assert server.receive(b"\x01text") is None


@pytest.mark.parametrize("message", [b"", b"\x02abc", b"\xff\x00"])
def test_port_forward_refuses_what_has_no_meaning(message):
    with pytest.raises(ws.ProtocolError):
        ws.PortForwardServer([80]).receive(message)
    with pytest.raises(ws.ProtocolError):
        ws.PortForwardClient().receive(message)


def test_port_forward_refuses_an_opening_without_a_port():
    with pytest.raises(ws.ProtocolError, match="holds no port"):
        ws.PortForwardClient().receive(b"\x00hello")


@given(data=payloads)
def test_exec_streams(data):
    server, client = ws.ExecServer(), ws.ExecClient()
    assert server.receive(client.stdin(data)) == ws.Data(ws.STDIN, data)
    assert client.receive(server.output(ws.STDOUT, data)) == ws.Data(ws.STDOUT, data)
    assert client.receive(server.output(ws.STDERR, data)) == ws.Data(ws.STDERR, data)


def test_exec_end_of_input_and_size_of_terminal():
    server, client = ws.ExecServer(), ws.ExecClient()
    assert client.close_stdin() == b"\xff\x00"
    assert server.receive(client.close_stdin()) == ws.Closed(ws.STDIN)
    assert server.receive(client.resize(80, 24)) == ws.Resized(80, 24)
    assert server.receive(b'\x04{"Width":80,"Height":24}') == ws.Resized(80, 24)
    assert client.receive(b"\xff\x01") == ws.Closed(ws.STDOUT)


@given(code=st.integers(0, 255))
def test_exec_exit_codes(code):
    event = ws.ExecClient().receive(ws.ExecServer().exit(code))
    assert isinstance(event, ws.Exit)
    assert event.code == code
    assert bool(event.message) == bool(code)


def test_exec_that_could_not_run():
    event = ws.ExecClient().receive(ws.ExecServer().failure("no such file"))
    assert event == ws.Exit(None, "no such file")


def test_exec_ignores_empty_messages_of_a_stream():
    assert ws.ExecServer().receive(b"\x00") is None
    assert ws.ExecClient().receive(b"\x01") is None
    assert ws.ExecClient().receive(b"\x03") is None


@pytest.mark.parametrize("message", [b"", b"\x01out", b"\x03{}", b"\x04no", b"\x04[1]", b"\xff", b"\x09x"])
def test_exec_server_refuses_what_has_no_meaning(message):
    with pytest.raises(ws.ProtocolError):
        ws.ExecServer().receive(message)


@pytest.mark.parametrize("message", [b"", b"\x00in", b"\x03no", b"\x03[1]", b"\xff\x00\x01", b"\x09x"])
def test_exec_client_refuses_what_has_no_meaning(message):
    with pytest.raises(ws.ProtocolError):
        ws.ExecClient().receive(message)


@given(message=st.binary(max_size=50))
def test_no_message_breaks_a_side_in_another_way(message):
    for side in (ws.PortForwardServer([80]), ws.PortForwardClient(), ws.ExecServer(), ws.ExecClient()):
        with contextlib.suppress(ws.ProtocolError):
            side.receive(message)
