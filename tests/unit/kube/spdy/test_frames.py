from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_gpu_k8s.kube.spdy.frames import (
    CANCEL,
    LARGEST_PAYLOAD,
    DataFrame,
    FrameDecoder,
    FrameEncoder,
    GoAway,
    Ping,
    RstStream,
    SynReply,
    SynStream,
)
from dask_gpu_k8s.kube.spdy.headers import HeaderCompressor
from dask_gpu_k8s.kube.websocket import ProtocolError

KUBECTL = """
80030001 0000003e 00000001 00000000 0000 78f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45e01c606e
6060c0c0c0c0590489c64c50f2663400000000ffff 00000001 01000000
80030001 00000018 00000003 00000000 0000 c2aa19540e2512d60b000000ffff 00000003 00000002 6869
"""
"""Taken off the wire from kubectl 1.37.1."""

numbers = st.integers(1, (1 << 31) - 1)
words = st.integers(1, (1 << 32) - 1)
headers = st.dictionaries(st.sampled_from(["streamtype", "port", "requestid"]), st.text(max_size=20))
frames = st.one_of(
    st.builds(SynStream, numbers, headers, st.booleans()),
    st.builds(SynReply, numbers, headers, st.booleans()),
    st.builds(RstStream, numbers, words),
    st.builds(Ping, words),
    st.builds(GoAway, numbers, words),
    st.builds(DataFrame, numbers, st.binary(max_size=100), st.booleans()),
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def joined(frames: list) -> list:
    """Put the data of a stream together that comes in several frames, one after another."""
    result: list = []
    for frame in frames:
        before = result[-1] if result else None
        match before, frame:
            case DataFrame(stream, start, False), DataFrame(same, more, fin) if stream == same:
                result[-1] = DataFrame(stream, start + more, fin)
            case _:
                result.append(frame)
    return result


def control(kind: int, rest: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(rest)) + rest


@given(sent=st.lists(frames, max_size=10), places=st.lists(st.integers(0, 5000), max_size=20))
def test_frames_arrive_as_they_were_sent_however_their_bytes_are_cut(sent, places):
    encoder, decoder = FrameEncoder(), FrameDecoder()
    data = b"".join(encoder.encode(frame) for frame in sent)
    received = [frame for piece in cut(data, places) for frame in decoder.receive(piece)]
    assert joined(received) == joined(sent)


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (DataFrame(3, b"hello"), "00000003 00000005 68656c6c6f"),
        (DataFrame(3, b"", fin=True), "00000003 01000000"),
        (RstStream(3, CANCEL), "80030003 00000008 00000003 00000005"),
        (Ping(1), "80030006 00000004 00000001"),
        (GoAway(5, 1), "80030007 00000008 00000005 00000001"),
    ],
)
def test_the_bytes_of_a_frame(frame, data):
    assert FrameEncoder().encode(frame) == bytes.fromhex(data)
    assert list(FrameDecoder().receive(bytes.fromhex(data))) == [frame]


def test_what_kubectl_sends_for_a_connection():
    sent = [
        SynStream(1, {"port": "7000", "requestid": "0", "streamtype": "error"}),
        DataFrame(1, b"", fin=True),
        SynStream(3, {"port": "7000", "requestid": "0", "streamtype": "data"}),
        DataFrame(3, b"hi"),
    ]
    assert list(FrameDecoder().receive(bytes.fromhex(KUBECTL))) == sent


def test_a_control_frame_that_is_not_complete_is_waited_for():
    decoder, sent = FrameDecoder(), SynStream(1, {"port": "1"})
    data = FrameEncoder().encode(sent)
    assert list(decoder.receive(data[:3])) == []
    assert list(decoder.receive(data[3:-1])) == []
    assert list(decoder.receive(data[-1:])) == [sent]


def test_data_is_given_as_it_comes_and_its_end_with_the_last_of_it():
    decoder = FrameDecoder()
    data = FrameEncoder().encode(DataFrame(1, b"hello", fin=True))
    assert list(decoder.receive(data[:8])) == []
    assert list(decoder.receive(data[8:11])) == [DataFrame(1, b"hel")]
    assert list(decoder.receive(data[11:])) == [DataFrame(1, b"lo", fin=True)]


def test_data_that_one_frame_cannot_hold_is_sent_in_several():
    payload = bytes(range(256)) * (1 << 16) + b"the rest"
    first, second = FrameDecoder().receive(FrameEncoder().encode(DataFrame(1, payload, fin=True)))
    assert isinstance(first, DataFrame)
    assert isinstance(second, DataFrame)
    assert len(first.payload) == LARGEST_PAYLOAD
    assert (first.fin, second.fin) == (False, True)
    assert first.payload + second.payload == payload


def test_frames_without_a_meaning_here_are_dropped_but_their_headers_count():
    """Both sides' compression has a memory: a HEADERS frame must be read like the others."""
    compressor, decoder = HeaderCompressor(), FrameDecoder()
    between = [
        control(4, struct.pack(">III", 1, 7, 1 << 16)),
        control(8, struct.pack(">I", 1) + compressor.compress({"port": "1234"})),
        control(9, struct.pack(">II", 1, 100)),
    ]
    last = control(2, struct.pack(">I", 1) + compressor.compress({"port": "1234"}))
    assert list(decoder.receive(b"".join(between) + last)) == [SynReply(1, {"port": "1234"})]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(struct.pack(">II", 0, 5), id="data on stream 0"),
        pytest.param(struct.pack(">HHI", 0x8003, 5, LARGEST_PAYLOAD), id="type 5, which is no more"),
        pytest.param(struct.pack(">HHI", 0x8003, 10, 0), id="credentials"),
        pytest.param(struct.pack(">HHI", 0x8003, 0xFFFF, LARGEST_PAYLOAD), id="unknown type"),
        pytest.param(struct.pack(">HHI", 0x8003, 1, 9), id="short SYN_STREAM"),
        pytest.param(struct.pack(">HHI", 0x8003, 3, 9), id="long RST_STREAM"),
        pytest.param(struct.pack(">HHI", 0x8003, 6, 5), id="long PING"),
        pytest.param(struct.pack(">HHI", 0x8003, 7, 4), id="short GOAWAY"),
        pytest.param(control(6, b"\0\0\0\1", flags=1), id="PING with flags"),
        pytest.param(control(6, bytes(4)), id="PING 0"),
        pytest.param(control(3, struct.pack(">II", 0, 5)), id="reset of stream 0"),
        pytest.param(control(3, struct.pack(">II", 1, 0)), id="reset without a reason"),
        pytest.param(control(2, struct.pack(">I", 1 << 31)), id="reply on stream 0"),
        pytest.param(control(1, bytes(10)), id="SYN_STREAM 0"),
        pytest.param(control(1, struct.pack(">IIH", 1, 0, 0)), id="no headers"),
    ],
)
def test_what_has_no_meaning_is_refused_at_once(data):
    """Also where the length promises more: nobody waits for the rest of a frame that cannot be one."""
    with pytest.raises(ProtocolError):
        list(FrameDecoder().receive(data))


def test_frames_before_the_one_that_has_no_meaning_are_given():
    read = FrameDecoder().receive(FrameEncoder().encode(Ping(1)) + bytes(8))
    assert next(read) == Ping(1)
    with pytest.raises(ProtocolError):
        next(read)
