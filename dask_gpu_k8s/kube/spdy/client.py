"""The client's side of a tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dask_gpu_k8s.kube.spdy.events import (
    PORT,
    REQUEST,
    STREAM_TYPE,
    ClientEvent,
    Data,
    Ended,
    Failed,
    GoneAway,
    Pong,
)
from dask_gpu_k8s.kube.spdy.frames import (
    DataFrame,
    Frame,
    FrameDecoder,
    FrameEncoder,
    GoAway,
    Ping,
    RstStream,
    SynStream,
)

LONGEST_MESSAGE = 1 << 16
"""Bytes of an error text that are kept."""


@dataclass
class _Connection:
    number: int
    message: bytes = b""
    data_ended: bool = False
    text_ended: bool = False


class TunnelClient:
    """Makes the bytes to send, and takes the server's messages. A tunnel that raises is over.

    Nothing needs to be awaited between opening a connection and sending on it: the server keeps the order.
    After `GoneAway` the WebSocket must be closed from here: the API server leaves it open until it is sent
    something.
    """

    def __init__(self) -> None:
        self._encoder = FrameEncoder()
        self._decoder = FrameDecoder()
        self._outgoing: list[bytes] = []
        self._next_stream = 1
        self._next_ping = 1
        self._by_data: dict[int, _Connection] = {}
        self._by_error: dict[int, _Connection] = {}

    def outgoing(self) -> bytes:
        """Take the bytes that are to be sent, in one message or more."""
        taken, self._outgoing = b"".join(self._outgoing), []
        return taken

    def open(self, port: int) -> int:
        """Ask for a connection to a port of the Pod; return its number."""
        error, number = self._next_stream, self._next_stream + 2
        self._next_stream += 4
        headers = {STREAM_TYPE: "error", PORT: str(port), REQUEST: str(number)}
        self._send(SynStream(error, headers, fin=True))
        self._send(SynStream(number, {**headers, STREAM_TYPE: "data"}))
        self._by_data[number] = self._by_error[error] = _Connection(number)
        return number

    def data(self, connection: int, payload: bytes) -> None:
        """Send bytes to the Pod; nothing, if the connection is over."""
        if connection in self._by_data:
            self._send(DataFrame(connection, payload))

    def finish(self, connection: int) -> None:
        """Send no more on a connection. The server ends it a second later at the latest."""
        if connection in self._by_data:
            self._send(DataFrame(connection, b"", fin=True))

    def abandon(self, connection: int) -> None:
        """Break a connection off, and forget it."""
        if connection in self._by_data:
            self._send(RstStream(connection))
            self._forget(connection)

    def ping(self) -> int:
        """Ask for a `Pong`; return its number."""
        number = self._next_ping
        self._next_ping += 2
        self._send(Ping(number))
        return number

    def receive(self, message: bytes) -> Iterator[ClientEvent]:
        """Take a message of the server; the iterator must be exhausted.

        Raises
        ------
        ProtocolError
            Where it makes no sense, after what made sense before. It has to end the tunnel.
        """
        for frame in self._decoder.receive(message):
            if type(frame) is DataFrame:
                stream, payload, fin = frame
                connection = self._by_data.get(stream)
                if connection is None:
                    yield from self._take_text(stream, payload, fin)
                elif not connection.data_ended:
                    if payload:
                        yield Data(stream, payload)
                    if fin:
                        connection.data_ended = True
                        yield from self._end(connection)
            else:
                yield from self._take(frame)

    def _send(self, frame: Frame) -> None:
        self._outgoing.append(self._encoder.encode(frame))

    def _forget(self, connection: int) -> None:
        self._by_data.pop(connection, None)
        self._by_error.pop(connection - 2, None)

    def _take(self, frame: Frame) -> Iterator[ClientEvent]:
        match frame:
            case RstStream(stream, status):
                connection = self._by_data.get(stream) or self._by_error.get(stream)
                if connection:
                    yield self._fail(connection, f"The server has reset the connection (status {status}).")
            case Ping(number) if number % 2 == 0:
                self._send(frame)
            case Ping(number):
                yield Pong(number)
            case GoAway():
                yield GoneAway()

    def _take_text(self, stream: int, payload: bytes, fin: bool) -> Iterator[ClientEvent]:
        connection = self._by_error.get(stream)
        if connection is None:
            return
        connection.message = (connection.message + payload)[:LONGEST_MESSAGE]
        if not fin:
            return
        if connection.message:
            yield self._fail(connection, "")
            return
        connection.text_ended = True
        yield from self._end(connection)

    def _end(self, connection: _Connection) -> Iterator[ClientEvent]:
        # An error text may come after the last byte: what has no end yet may still have failed.
        if connection.data_ended and connection.text_ended:
            self._forget(connection.number)
            yield Ended(connection.number)

    def _fail(self, connection: _Connection, otherwise: str) -> Failed:
        self._forget(connection.number)
        return Failed(connection.number, connection.message.decode("utf-8", "replace") or otherwise)
