"""Frames of SPDY/3.1 and their bytes.

A frame starts with eight bytes: for data the stream, for a control frame the version and the type; then
flags and the length of the rest. SETTINGS, HEADERS and WINDOW_UPDATE mean nothing for a port-forward: they
are read and dropped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from dask_gpu_k8s.kube.spdy.headers import HeaderCompressor, HeaderDecompressor
from dask_gpu_k8s.kube.websocket import ProtocolError

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, UNSUPPORTED_VERSION, CANCEL = range(1, 6)
"""Why a stream is reset."""

LARGEST_PAYLOAD = (1 << 24) - 1
"""Bytes after the first eight of a frame; what its length field can say."""


@dataclass(frozen=True)
class SynStream:
    """A stream is opened; with `fin`, its opener will send nothing on it."""

    stream: int
    headers: dict[str, str]
    fin: bool = False


@dataclass(frozen=True)
class SynReply:
    """A stream that the other side has opened is accepted."""

    stream: int
    headers: dict[str, str]
    fin: bool = False


@dataclass(frozen=True)
class RstStream:
    """A stream is broken off in both directions."""

    stream: int
    status: int = CANCEL


@dataclass(frozen=True)
class Ping:
    """A question that the other side sends back; odd numbers are the client's, even ones the server's."""

    number: int


@dataclass(frozen=True)
class GoAway:
    """The other side ends the tunnel."""

    last_stream: int = 0
    status: int = 0


class DataFrame(NamedTuple):
    """Bytes of a stream; with `fin`, the last ones. A tuple, as `events.Data` is."""

    stream: int
    payload: bytes
    fin: bool = False


Frame: TypeAlias = SynStream | SynReply | RstStream | Ping | GoAway | DataFrame

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GO_AWAY, _HEADERS, _WINDOW_UPDATE = (
    *range(1, 5),
    *range(6, 10),
)

_SHORTEST = {
    _SYN_STREAM: 10,
    _SYN_REPLY: 4,
    _RST_STREAM: 8,
    _SETTINGS: 4,
    _PING: 4,
    _GO_AWAY: 8,
    _HEADERS: 4,
    _WINDOW_UPDATE: 8,
}
"""The control frames that exist, and the least bytes that each has after the first eight."""

_EXACT = frozenset((_RST_STREAM, _PING, _GO_AWAY, _WINDOW_UPDATE))
"""Those that have no more."""

_FLAGLESS = frozenset((_PING, _GO_AWAY, _WINDOW_UPDATE))

_CONTROL = 0x8000_0000
_VERSION = 3 << 16
_FIN = 1
_HEAD = struct.Struct(">II")


class FrameEncoder:
    """Makes the bytes of frames for one direction of one tunnel."""

    def __init__(self) -> None:
        self._headers = HeaderCompressor()

    def encode(self, frame: Frame) -> bytes:
        """Make the bytes of a frame. They must be sent in the order in which they were made.

        Data of more than `LARGEST_PAYLOAD` bytes becomes several frames.
        """
        match frame:
            case DataFrame():
                return _encode_data(frame)
            case SynStream(stream, headers, fin):
                fixed = struct.pack(">IIH", stream, 0, 0)
                return _control(_SYN_STREAM, fixed + self._headers.compress(headers), fin)
            case SynReply(stream, headers, fin):
                fixed = struct.pack(">I", stream)
                return _control(_SYN_REPLY, fixed + self._headers.compress(headers), fin)
            case RstStream(stream, status):
                return _control(_RST_STREAM, _HEAD.pack(stream, status))
            case Ping(number):
                return _control(_PING, struct.pack(">I", number))
            case GoAway(last_stream, status):
                return _control(_GO_AWAY, _HEAD.pack(last_stream, status))


def _control(kind: int, rest: bytes, fin: bool = False) -> bytes:
    return _HEAD.pack(_CONTROL | _VERSION | kind, (fin * _FIN) << 24 | len(rest)) + rest


def _encode_data(frame: DataFrame) -> bytes:
    payload, parts = frame.payload, []
    while len(payload) > LARGEST_PAYLOAD:
        parts += [_HEAD.pack(frame.stream, LARGEST_PAYLOAD), payload[:LARGEST_PAYLOAD]]
        payload = payload[LARGEST_PAYLOAD:]
    return b"".join([*parts, _HEAD.pack(frame.stream, (frame.fin * _FIN) << 24 | len(payload)), payload])


class FrameDecoder:
    """Finds the frames in the bytes of one direction of one tunnel, however these were cut.

    Data is given as it comes: a frame of it that was cut becomes several.
    """

    def __init__(self) -> None:
        self._headers = HeaderDecompressor()
        self._rest = b""
        self._stream = 0
        self._fin = False
        self._left = 0

    def receive(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and give what is complete now; the iterator must be exhausted.

        Raises
        ------
        ProtocolError
            At the frame that makes no sense, after those before it. Nothing can be read from then on.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        position, size = 0, len(data)
        while position < size:
            if self._left:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                yield DataFrame(self._stream, piece, self._fin and not self._left)
                continue
            start = position + _HEAD.size
            if start > size:
                break
            first, second = _HEAD.unpack_from(data, position)
            flags, length = second >> 24, second & LARGEST_PAYLOAD
            _check_head(first, flags, length)
            if first & _CONTROL:
                if start + length > size:
                    break
                position = start + length
                frame = self._read(first, flags, data[start:position])
                if frame is not None:
                    yield frame
            else:
                position = start
                self._stream, self._fin, self._left = first, bool(flags & _FIN), length
                if not length:
                    yield DataFrame(first, b"", self._fin)
        self._rest = data[position:]

    def _read(self, first: int, flags: int, rest: bytes) -> Frame | None:
        kind, fin = first & 0xFFFF, bool(flags & _FIN)
        number, status = int.from_bytes(rest[:4], "big"), int.from_bytes(rest[4:8], "big")
        if kind == _PING:
            return Ping(_nonzero(number))
        if kind == _GO_AWAY:
            return GoAway(number, status)
        if kind in (_SETTINGS, _WINDOW_UPDATE):
            return None
        stream = _nonzero(number & ~_CONTROL)
        if kind == _RST_STREAM:
            return RstStream(stream, _nonzero(status))
        headers = self._headers.decompress(rest[_SHORTEST[kind] :])
        if kind == _HEADERS:
            return None
        return SynStream(stream, headers, fin) if kind == _SYN_STREAM else SynReply(stream, headers, fin)


def _nonzero(number: int) -> int:
    if number == 0:
        raise ProtocolError("A control frame has a zero for its stream, its number or its status.")
    return number


def _check_head(first: int, flags: int, length: int) -> None:
    """Refuse a frame by its first eight bytes, before the rest is waited for."""
    if not first & _CONTROL:
        if first == 0:
            raise ProtocolError("Data comes on stream 0.")
        return
    kind = first & 0xFFFF
    shortest = _SHORTEST.get(kind)
    if shortest is None:
        raise ProtocolError(f"There is no control frame of type {kind}.")
    if length < shortest or (kind in _EXACT and length > shortest):
        raise ProtocolError(f"A control frame of type {kind} cannot have {length} bytes.")
    if flags and kind in _FLAGLESS:
        raise ProtocolError(f"A control frame of type {kind} has no flags.")
