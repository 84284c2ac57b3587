"""The two sides of a tunnel, against each other and against what makes no sense."""

from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.kube.spdy.client import LONGEST_MESSAGE, TunnelClient
from dask_gpu_k8s.kube.spdy.events import Broken, Data, Ended, Failed, GoneAway, Opened, Pong
from dask_gpu_k8s.kube.spdy.frames import (
    CANCEL,
    PROTOCOL_ERROR,
    DataFrame,
    FrameDecoder,
    FrameEncoder,
    GoAway,
    Ping,
    RstStream,
    SynReply,
    SynStream,
)
from dask_gpu_k8s.kube.spdy.headers import DICTIONARY
from dask_gpu_k8s.kube.spdy.server import MOST_EARLY_FRAMES, TunnelServer
from dask_gpu_k8s.kube.websocket import ProtocolError
from tests.unit.kube.spdy.test_frames import cut, frames

ERROR = {"streamtype": "error", "port": "80", "requestid": "0"}
DATA = {"streamtype": "data", "port": "80", "requestid": "0"}


class Wire:
    """Both sides, and what travels between them."""

    def __init__(self) -> None:
        self.client, self.server = TunnelClient(), TunnelServer()

    def up(self) -> list:
        return list(self.server.receive(self.client.outgoing()))

    def down(self) -> list:
        return list(self.client.receive(self.server.outgoing()))


class Peer:
    """A server that is sent any frames, and what it answers."""

    def __init__(self) -> None:
        self.server = TunnelServer()
        self._encoder, self._decoder = FrameEncoder(), FrameDecoder()

    def send(self, *sent) -> list:
        return list(self.server.receive(b"".join(self._encoder.encode(frame) for frame in sent)))

    def answers(self) -> list:
        return list(self._decoder.receive(self.server.outgoing()))


class Far:
    """A client that is sent any frames."""

    def __init__(self) -> None:
        self.client = TunnelClient()
        self._encoder = FrameEncoder()

    def send(self, *sent) -> list:
        return list(self.client.receive(b"".join(self._encoder.encode(frame) for frame in sent)))


def test_a_connection_from_its_start_to_its_end():
    wire = Wire()
    number = wire.client.open(8786)
    wire.client.data(number, b"question")
    assert wire.up() == [Opened(number, 8786), Data(number, b"question")]
    wire.server.data(number, b"answer")
    assert wire.down() == [Data(number, b"answer")]
    wire.client.finish(number)
    assert wire.up() == [Ended(number)]
    wire.server.data(number, b"more")
    wire.server.finish(number)
    assert wire.down() == [Data(number, b"more"), Ended(number)]
    wire.client.data(number, b"late")
    wire.server.data(number, b"late")
    assert (wire.client.outgoing(), wire.server.outgoing()) == (b"", b"")


def test_what_kubectl_is_answered():
    peer = Peer()
    assert peer.send(SynStream(1, ERROR), DataFrame(1, b"", fin=True), SynStream(3, DATA)) == [Opened(3, 80)]
    assert peer.answers() == [SynReply(1, {}), SynReply(3, {})]
    peer.server.data(3, b"x")
    peer.server.finish(3)
    assert peer.answers() == [
        DataFrame(3, b"x"),
        DataFrame(1, b"", fin=True),
        DataFrame(3, b"", fin=True),
    ]


def test_a_failure_is_a_text_and_then_a_reset_of_both_streams():
    peer = Peer()
    peer.send(SynStream(1, ERROR), SynStream(3, DATA))
    peer.answers()
    peer.server.fail(3, "connection refused")
    assert peer.answers() == [DataFrame(1, b"connection refused"), RstStream(3, CANCEL), RstStream(1, CANCEL)]
    assert peer.send(DataFrame(3, b"late"), DataFrame(3, b"", fin=True)) == []


def test_a_failure_reaches_the_client_and_the_tunnel_lives():
    wire = Wire()
    bad, good = wire.client.open(1), wire.client.open(2)
    assert wire.up() == [Opened(bad, 1), Opened(good, 2)]
    wire.server.fail(bad, "connection refused")
    wire.server.data(good, b"x")
    assert wire.down() == [Failed(bad, "connection refused"), Data(good, b"x")]


def test_a_client_that_breaks_a_connection_off_gets_the_end_of_the_error_text():
    """Kubectl resets the data stream, and then reads the error stream to its end."""
    peer = Peer()
    peer.send(SynStream(1, ERROR), SynStream(3, DATA))
    peer.answers()
    assert peer.send(RstStream(3)) == [Broken(3)]
    assert peer.answers() == [DataFrame(1, b"", fin=True)]
    assert peer.send(RstStream(3), RstStream(1), DataFrame(3, b"late")) == []


def test_the_client_abandons_a_connection():
    wire = Wire()
    number = wire.client.open(80)
    wire.up()
    wire.server.data(number, b"unread")
    wire.client.abandon(number)
    assert wire.up() == [Broken(number)]
    assert wire.down() == []


@pytest.mark.parametrize(
    "port", ["", "0", "000", "65536", "-1", "+80", "80 ", "a", "9" * 5000, "\uff18\uff10"]
)
def test_a_stream_for_no_port_is_reset_and_the_tunnel_lives(port):
    peer = Peer()
    assert peer.send(SynStream(1, {**ERROR, "port": port})) == []
    assert peer.answers() == [RstStream(1, CANCEL)]
    assert peer.send(SynStream(3, ERROR), SynStream(5, DATA)) == [Opened(5, 80)]


@pytest.mark.parametrize("kind", ["", "Data", "exec"])
def test_a_stream_of_no_kind_is_reset(kind):
    peer = Peer()
    assert peer.send(SynStream(1, {**ERROR, "streamtype": kind})) == []
    assert peer.answers() == [RstStream(1, CANCEL)]


def test_ports_are_read_as_the_real_server_reads_them():
    peer = Peer()
    headers = {"port": "00080\x0081", "requestid": "0"}
    opening = [SynStream(n, {**headers, "streamtype": kind}) for n, kind in ((1, "error"), (3, "data"))]
    assert peer.send(*opening) == [Opened(3, 80)]


def test_a_stream_number_that_was_passed_is_reset():
    peer = Peer()
    peer.send(SynStream(5, ERROR))
    peer.answers()
    assert peer.send(SynStream(3, DATA), SynStream(5, DATA)) == []
    assert peer.answers() == [RstStream(3, PROTOCOL_ERROR), RstStream(5, PROTOCOL_ERROR)]
    assert peer.send(SynStream(7, DATA)) == [Opened(7, 80)]


def test_the_data_stream_may_come_first():
    peer = Peer()
    assert peer.send(SynStream(1, DATA), DataFrame(1, b"a"), DataFrame(1, b"b", fin=True)) == []
    assert peer.send(SynStream(3, ERROR)) == [Opened(1, 80), Data(1, b"a"), Data(1, b"b"), Ended(1)]


def test_a_data_stream_that_waits_may_be_given_up():
    peer = Peer()
    assert peer.send(SynStream(1, DATA), RstStream(1), SynStream(3, ERROR)) == []
    assert peer.send(SynStream(5, DATA, fin=True)) == [Opened(5, 80), Ended(5)]


def test_a_data_stream_that_waits_cannot_fill_the_memory():
    peer = Peer()
    peer.send(SynStream(1, DATA), *[DataFrame(1, b"x")] * MOST_EARLY_FRAMES)
    with pytest.raises(ProtocolError, match="no error stream"):
        peer.send(DataFrame(1, b"x"))


def test_streams_belong_together_by_their_request():
    peer = Peer()
    opening = [
        SynStream(1, ERROR),
        SynStream(3, {**ERROR, "requestid": "1"}),
        SynStream(5, {**DATA, "requestid": "1", "port": "81"}),
        SynStream(7, DATA),
    ]
    assert peer.send(*opening) == [Opened(5, 81), Opened(7, 80)]
    peer.answers()
    peer.server.fail(5, "no")
    assert peer.answers()[0] == DataFrame(3, b"no")


def test_streams_without_a_request_belong_together_by_their_numbers():
    peer = Peer()
    error, data = ({key: each[key] for key in ("streamtype", "port")} for each in (ERROR, DATA))
    assert peer.send(SynStream(1, error), SynStream(3, data)) == [Opened(3, 80)]


def test_a_stream_that_is_there_twice_is_complained_of():
    peer = Peer()
    assert peer.send(SynStream(1, ERROR), SynStream(3, ERROR)) == []
    text = b"error processing stream for request 0: error stream already assigned"
    assert peer.answers() == [SynReply(1, {}), SynReply(3, {}), DataFrame(1, text)]
    assert peer.send(SynStream(5, DATA)) == [Opened(5, 80)]
    assert peer.send(SynStream(7, DATA), SynStream(9, DATA)) == []
    assert peer.answers() == [SynReply(number, {}) for number in (5, 7, 9)]


def test_pings():
    peer = Peer()
    assert peer.send(Ping(1), Ping(2), Ping(3)) == []
    assert peer.answers() == [Ping(1), Ping(3)]
    wire = Wire()
    numbers = [wire.client.ping() for _ in range(3)]
    assert wire.up() == []
    assert wire.down() == [Pong(number) for number in numbers]
    far = Far()
    assert far.send(Ping(2)) == []
    assert list(FrameDecoder().receive(far.client.outgoing())) == [Ping(2)]


def test_nothing_is_read_after_a_goodbye():
    peer = Peer()
    assert peer.send(GoAway(), SynStream(1, ERROR)) == [GoneAway()]
    assert peer.send(Ping(1)) == []
    assert peer.answers() == []
    assert Far().send(GoAway()) == [GoneAway()]


def test_an_upper_case_name_ends_the_tunnel():
    made = zlib.compressobj(zdict=DICTIONARY)
    plain = struct.pack(">II", 1, 4) + b"Port" + struct.pack(">I", 2) + b"80"
    rest = struct.pack(">IIH", 1, 0, 0) + made.compress(plain) + made.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(ProtocolError, match="lower case"):
        list(TunnelServer().receive(struct.pack(">II", 0x8003_0001, len(rest)) + rest))


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        # The kubelet's library before 1.34 ends the streams after its text, since then it resets them.
        ([DataFrame(1, b"no"), DataFrame(1, b"", fin=True), DataFrame(3, b"", fin=True)], "no"),
        ([DataFrame(1, b"no"), RstStream(3), RstStream(1)], "no"),
        ([DataFrame(1, b"n"), DataFrame(1, b"o"), RstStream(1)], "no"),
        ([DataFrame(1, b"\xff" * 2 * LONGEST_MESSAGE, fin=True)], "\ufffd" * LONGEST_MESSAGE),
        ([RstStream(3)], "The server has reset the connection (status 5)."),
        ([RstStream(1, 3)], "The server has reset the connection (status 3)."),
    ],
)
def test_each_kind_of_failure_is_told_once(sent, message):
    far = Far()
    assert far.client.open(80) == 3
    assert far.send(*sent, *sent) == [Failed(3, message)]


@pytest.mark.parametrize("order", [(1, 3), (3, 1)])
def test_both_streams_end(order):
    far = Far()
    far.client.open(80)
    assert far.send(*(DataFrame(stream, b"", fin=True) for stream in order)) == [Ended(3)]
    assert far.send(DataFrame(3, b"late"), RstStream(3), RstStream(1)) == []


def test_nothing_comes_after_the_end():
    far = Far()
    far.client.open(80)
    assert far.send(DataFrame(3, b"x", fin=True), DataFrame(3, b"y"), DataFrame(3, b"", fin=True)) == [
        Data(3, b"x")
    ]
    assert far.send(DataFrame(1, b"", fin=True), DataFrame(3, b"z")) == [Ended(3)]


def test_what_has_sent_its_last_byte_may_still_fail():
    far = Far()
    far.client.open(80)
    assert far.send(DataFrame(3, b"x", fin=True)) == [Data(3, b"x")]
    assert far.send(DataFrame(1, b"reset by peer", fin=True)) == [Failed(3, "reset by peer")]


steps = st.lists(
    st.tuples(st.sampled_from(["open", "up", "down", "finish", "end", "fail", "abandon"]), st.integers(0, 5)),
    max_size=40,
)


@given(steps=steps, places=st.lists(st.integers(0, 10_000), max_size=10))
def test_whatever_is_done_all_bytes_arrive_in_order(steps, places):
    """Both directions of some connections, ended in any way, the messages cut anywhere."""
    wire = Wire()
    opened, closed = [], set()
    sent_up, sent_down, got_up, got_down = {}, {}, {}, {}

    def travel():
        for message in cut(wire.client.outgoing(), places):
            for event in wire.server.receive(message):
                if isinstance(event, Data):
                    got_up[event.connection] += event.payload
        for message in cut(wire.server.outgoing(), places):
            for event in wire.client.receive(message):
                if isinstance(event, Data):
                    got_down[event.connection] += event.payload

    for index, (step, which) in enumerate(steps):
        if step == "open":
            number = wire.client.open(80)
            opened.append(number)
            for store in (sent_up, sent_down, got_up, got_down):
                store[number] = b""
            travel()
        elif opened:
            number = opened[which % len(opened)]
            payload = bytes([index])
            if number in closed:
                continue
            if step == "up":
                wire.client.data(number, payload)
                sent_up[number] += payload
            elif step == "down":
                wire.server.data(number, payload)
                sent_down[number] += payload
            else:
                travel()
                closed.add(number)
                {
                    "finish": wire.client.finish,
                    "abandon": wire.client.abandon,
                    "end": wire.server.finish,
                    "fail": lambda number: wire.server.fail(number, "no"),
                }[step](number)
    travel()
    assert (got_up, got_down) == (sent_up, sent_down)


@given(message=st.binary(max_size=200))
def test_no_bytes_break_a_side_in_another_way(message):
    for side in (TunnelServer(), TunnelClient()):
        with contextlib.suppress(ProtocolError):
            list(side.receive(message))


@given(
    sent=st.lists(frames, max_size=10), flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)))
)
def test_no_damage_to_good_bytes_breaks_a_side_in_another_way(sent, flips):
    encoder = FrameEncoder()
    data = bytearray(b"".join(encoder.encode(frame) for frame in sent))
    for place, change in flips:
        if data:
            data[place % len(data)] ^= change
    client = TunnelClient()
    client.open(80)
    for side in (TunnelServer(), client):
        with contextlib.suppress(ProtocolError):
            list(side.receive(bytes(data)))
        side.outgoing()


@given(
    sent=st.lists(
        st.one_of(
            frames,
            st.builds(SynStream, st.integers(1, 9), st.sampled_from([ERROR, DATA]), st.booleans()),
            st.builds(DataFrame, st.integers(1, 9), st.binary(max_size=5), st.booleans()),
            st.builds(RstStream, st.integers(1, 9)),
        ),
        max_size=20,
    )
)
def test_a_server_tells_of_a_connection_only_between_its_start_and_its_end(sent):
    server, encoder = TunnelServer(), FrameEncoder()
    alive = set()
    with contextlib.suppress(ProtocolError):
        for event in server.receive(b"".join(encoder.encode(frame) for frame in sent)):
            match event:
                case Opened(number, port):
                    assert 0 < port < 65536
                    assert number not in alive
                    alive.add(number)
                case Broken(number):
                    alive.remove(number)
                case Data(number, _) | Ended(number):
                    assert number in alive
