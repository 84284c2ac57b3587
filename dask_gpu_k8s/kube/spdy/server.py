"""The API server's side of a tunnel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dask_gpu_k8s.kube.spdy.events import (
    PORT,
    REQUEST,
    STREAM_TYPE,
    Broken,
    Data,
    Ended,
    GoneAway,
    Opened,
    ServerEvent,
)
from dask_gpu_k8s.kube.spdy.frames import (
    PROTOCOL_ERROR,
    DataFrame,
    Frame,
    FrameDecoder,
    FrameEncoder,
    GoAway,
    Ping,
    RstStream,
    SynReply,
    SynStream,
)
from dask_gpu_k8s.kube.websocket import ProtocolError

MOST_EARLY_FRAMES = 50
"""How many frames of data may come before the error stream that belongs to it."""


@dataclass
class _Pair:
    """The two streams of a connection, as far as they are there."""

    port: int
    data: int = 0
    error: int = 0
    early: list[DataFrame] = field(default_factory=list)


class TunnelServer:
    """Takes the client's messages, and makes the bytes to send.

    It answers by itself what needs no Pod: it accepts streams or resets those that are not meant for a
    port, and sends the client's pings back. A tunnel that raises is over: all it may do is to say goodbye.
    """

    def __init__(self) -> None:
        self._encoder = FrameEncoder()
        self._decoder = FrameDecoder()
        self._outgoing: list[bytes] = []
        self._next_stream = 1
        self._waiting: dict[str, _Pair] = {}
        self._open: dict[int, _Pair] = {}
        self._gone = False

    def outgoing(self) -> bytes:
        """Take the bytes that are to be sent, in one message or more."""
        taken, self._outgoing = b"".join(self._outgoing), []
        return taken

    def receive(self, message: bytes) -> Iterator[ServerEvent]:
        """Take a message of the client; the iterator must be exhausted.

        Raises
        ------
        ProtocolError
            Where it makes no sense, after what made sense before. It has to end the tunnel.
        """
        for frame in self._decoder.receive(message):
            if self._gone:
                return
            yield from self._take(frame)

    def data(self, connection: int, payload: bytes) -> None:
        """Send bytes that came from the Pod; nothing, if the connection is forgotten."""
        if connection in self._open:
            self._send(DataFrame(connection, payload))

    def finish(self, connection: int) -> None:
        """End a connection, whichever side ended it first."""
        if pair := self._open.pop(connection, None):
            self._send(DataFrame(pair.error, b"", fin=True))
            self._send(DataFrame(connection, b"", fin=True))

    def fail(self, connection: int, message: str) -> None:
        """Say that a connection could not be made, or broke: a text, then both streams are reset."""
        if pair := self._open.pop(connection, None):
            self._send(DataFrame(pair.error, message.encode()))
            self._send(RstStream(connection))
            self._send(RstStream(pair.error))

    def goodbye(self) -> None:
        """End the tunnel, and all connections with it; say which stream was the last to be looked at."""
        self._open.clear()
        self._send(GoAway(max(self._next_stream - 2, 0)))

    def _send(self, frame: Frame) -> None:
        self._outgoing.append(self._encoder.encode(frame))

    def _take(self, frame: Frame) -> Iterator[ServerEvent]:
        match frame:
            case SynStream():
                yield from self._open_stream(frame)
            case DataFrame():
                yield from self._take_data(frame)
            case RstStream(stream):
                yield from self._break(stream)
            case Ping(number) if number % 2:
                self._send(frame)
            case GoAway():
                self._gone = True
                yield GoneAway()

    def _open_stream(self, frame: SynStream) -> Iterator[ServerEvent]:
        if frame.stream < self._next_stream:
            self._send(RstStream(frame.stream, PROTOCOL_ERROR))
            return
        self._next_stream = frame.stream + 2
        port = _parse_port(_first(frame, PORT))
        kind = _first(frame, STREAM_TYPE)
        if port is None or kind not in ("data", "error"):
            self._send(RstStream(frame.stream))
            return
        self._send(SynReply(frame.stream, {}))
        # Clients of old give no request; their data stream comes right after its error stream.
        request = _first(frame, REQUEST) or str(frame.stream - 2 * (kind == "data"))
        pair = self._waiting.setdefault(request, _Pair(port))
        if getattr(pair, kind):
            self._complain(
                pair, f"error processing stream for request {request}: {kind} stream already assigned"
            )
            return
        setattr(pair, kind, frame.stream)
        if kind == "data":
            pair.port = port
            if frame.fin:
                pair.early.append(DataFrame(frame.stream, b"", fin=True))
        if pair.data and pair.error:
            yield from self._connect(self._waiting.pop(request))

    def _complain(self, pair: _Pair, message: str) -> None:
        if pair.error:
            self._send(DataFrame(pair.error, message.encode()))

    def _connect(self, pair: _Pair) -> Iterator[ServerEvent]:
        self._open[pair.data] = pair
        yield Opened(pair.data, pair.port)
        for frame in pair.early:
            yield from self._take_data(frame)

    def _take_data(self, frame: DataFrame) -> Iterator[ServerEvent]:
        if frame.stream in self._open:
            if frame.payload:
                yield Data(frame.stream, frame.payload)
            if frame.fin:
                yield Ended(frame.stream)
            return
        for pair in self._waiting.values():
            if pair.data == frame.stream:
                pair.early.append(frame)
                if len(pair.early) > MOST_EARLY_FRAMES:
                    raise ProtocolError(f"Stream {frame.stream} has data but no error stream beside it.")

    def _break(self, stream: int) -> Iterator[ServerEvent]:
        if pair := self._open.pop(stream, None):
            # The client waits for the end of the error text.
            self._send(DataFrame(pair.error, b"", fin=True))
            yield Broken(stream)
        for request, pair in list(self._waiting.items()):
            if pair.data == stream:
                del self._waiting[request]


def _first(frame: SynStream, name: str) -> str:
    """Return a header's value, the first if there are several; empty if there is none."""
    return frame.headers.get(name, "").split("\0")[0]


def _parse_port(text: str) -> int | None:
    match = re.fullmatch(r"0*([1-9][0-9]{0,4})", text)
    port = int(match[1]) if match else 0
    return port if 0 < port < 1 << 16 else None
