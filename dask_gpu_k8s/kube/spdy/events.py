"""What the two sides of a tunnel tell those who use them. A connection is known by a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
"""The WebSocket's subprotocol."""

STREAM_TYPE, PORT, REQUEST = "streamtype", "port", "requestid"
"""The headers that open a stream: ``data`` or ``error``, the port, and what its two streams share."""


@dataclass(frozen=True)
class Opened:
    """The client wants a connection to a port of the Pod."""

    connection: int
    port: int


class Data(NamedTuple):
    """Bytes of a connection. A tuple, since there are so many: a dataclass takes thrice the time to make."""

    connection: int
    payload: bytes


@dataclass(frozen=True)
class Ended:
    """The other side will send no more on a connection: to a client, no error text either."""

    connection: int


@dataclass(frozen=True)
class Broken:
    """The client has broken a connection off; it is forgotten."""

    connection: int


@dataclass(frozen=True)
class Failed:
    """A connection could not be made, or broke, on the server's side; it is forgotten."""

    connection: int
    message: str


@dataclass(frozen=True)
class Pong:
    """The server has sent back the ping of that number."""

    number: int


@dataclass(frozen=True)
class GoneAway:
    """The other side has ended the tunnel, and all connections with it."""


ServerEvent: TypeAlias = Opened | Data | Ended | Broken | GoneAway
ClientEvent: TypeAlias = Data | Ended | Failed | Pong | GoneAway
