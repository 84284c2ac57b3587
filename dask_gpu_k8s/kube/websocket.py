"""Kubernetes' channels in WebSocket messages, without I/O: what to send, and what a message means.

Every message is binary; its first byte is the number of a channel, the rest is the channel's data.

Port-forward (``v4.channel.k8s.io``): two channels per port, one for data and one for error text. The
first message on each comes from the server and holds the port, two bytes, little-endian.

Exec (``v5.channel.k8s.io``): standard input, output and error, the exit status, the size of the
terminal; and a signal that a channel is closed, which the version before lacked.

Source: k8s.io/apimachinery/pkg/util/remotecommand, k8s.io/streaming and the kubelet's port-forward.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TypeAlias

from dask_gpu_k8s.api.types import Manifest

PORT_FORWARD_PROTOCOL = "v4.channel.k8s.io"
EXEC_PROTOCOL = "v5.channel.k8s.io"

STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)
CLOSE = 255


class ProtocolError(Exception):
    """The other side sent something that has no meaning here."""


@dataclass(frozen=True)
class Data:
    """Bytes of a channel: of a port's connection (counted from 0), or of one of exec's streams."""

    channel: int
    payload: bytes


@dataclass(frozen=True)
class Failure:
    """The error text of a port's connection."""

    port_index: int
    message: str


@dataclass(frozen=True)
class Closed:
    """The other side will send no more on a channel of exec."""

    channel: int


@dataclass(frozen=True)
class Resized:
    """The size of the terminal, in characters."""

    width: int
    height: int


@dataclass(frozen=True)
class Exit:
    """How a command ended.

    Attributes
    ----------
    code : int or None
        Exit code; ``None`` if it could not be run or waited for.
    message : str
        The server's words; empty for success.
    """

    code: int | None
    message: str


ExecEvent: TypeAlias = Data | Closed | Resized | Exit


def encode(channel: int, payload: bytes) -> bytes:
    """Make a message of a channel and its data."""
    return bytes((channel,)) + payload


def decode(message: bytes) -> tuple[int, bytes]:
    """Split a message into its channel and its data.

    Raises
    ------
    ProtocolError
        If it is empty.
    """
    if not message:
        raise ProtocolError("An empty message names no channel.")
    return message[0], message[1:]


class PortForwardServer:
    """The API server's side of a port-forward.

    Parameters
    ----------
    ports : sequence of int
        The ports asked for, in order.
    """

    def __init__(self, ports: list[int]) -> None:
        self._ports = list(ports)

    def opening(self) -> list[bytes]:
        """Return the messages to send first: each channel's port."""
        return [
            encode(2 * index + offset, struct.pack("<H", port))
            for index, port in enumerate(self._ports)
            for offset in (0, 1)
        ]

    def receive(self, message: bytes) -> Data | None:
        """Take a message of the client; ``channel`` of the answer counts the ports.

        Raises
        ------
        ProtocolError
            If the message is for a channel that does not exist.
        """
        channel, payload = decode(message)
        if channel >= 2 * len(self._ports):
            raise ProtocolError(f"There is no channel {channel}: {len(self._ports)} port(s) were asked for.")
        if channel % 2 or not payload:
            return None
        return Data(channel // 2, payload)

    def data(self, port_index: int, payload: bytes) -> bytes:
        """Make the message for bytes that came from a port."""
        return encode(2 * port_index, payload)

    def failure(self, port_index: int, message: str) -> bytes:
        """Make the message for the failure of a port's connection."""
        return encode(2 * port_index + 1, message.encode())


class PortForwardClient:
    """The client's side of a port-forward of `count` ports."""

    def __init__(self, count: int = 1) -> None:
        self._unopened = set(range(2 * count))
        self._channels = 2 * count

    def receive(self, message: bytes) -> Data | Failure | None:
        """Take a message of the server; ``None`` if it tells nothing new.

        Raises
        ------
        ProtocolError
            If the message is for a channel that does not exist, or a channel's first message does not
            hold a port.
        """
        channel, payload = decode(message)
        if channel >= self._channels:
            raise ProtocolError(f"There is no channel {channel}.")
        if channel in self._unopened:
            if len(payload) != 2:
                raise ProtocolError(f"The first message on channel {channel} holds no port.")
            self._unopened.remove(channel)
            return None
        if not payload:
            return None
        if channel % 2:
            return Failure(channel // 2, payload.decode("utf-8", "replace"))
        return Data(channel // 2, payload)

    def data(self, port_index: int, payload: bytes) -> bytes:
        """Make the message for bytes that are to go to a port."""
        return encode(2 * port_index, payload)


class ExecServer:
    """The API server's side of an exec."""

    def receive(self, message: bytes) -> ExecEvent | None:
        """Take a message of the client: input, its end, or a size; ``None`` if it tells nothing.

        Raises
        ------
        ProtocolError
            If it means nothing.
        """
        channel, payload = decode(message)
        if channel == STDIN:
            return Data(STDIN, payload) if payload else None
        if channel == RESIZE:
            return _parse_size(payload)
        if channel == CLOSE:
            return _parse_close(payload)
        raise ProtocolError(f"A client may not send on channel {channel}.")

    def output(self, channel: int, payload: bytes) -> bytes:
        """Make the message for output on `STDOUT` or `STDERR`."""
        return encode(channel, payload)

    def exit(self, code: int) -> bytes:
        """Make the message that says how the command ended."""
        return encode(STATUS, json.dumps(_exit_status(code)).encode())

    def failure(self, message: str) -> bytes:
        """Make the message that says that the command could not be run."""
        status = {
            "metadata": {},
            "status": "Failure",
            "reason": "InternalError",
            "message": message,
            "code": 500,
        }
        return encode(STATUS, json.dumps(status).encode())


class ExecClient:
    """The client's side of an exec."""

    def receive(self, message: bytes) -> ExecEvent | None:
        """Take a message of the server: output, the end of a stream, or of the command.

        Raises
        ------
        ProtocolError
            If it means nothing.
        """
        channel, payload = decode(message)
        if channel in (STDOUT, STDERR):
            return Data(channel, payload) if payload else None
        if channel == STATUS:
            return _parse_exit(payload) if payload else None
        if channel == CLOSE:
            return _parse_close(payload)
        raise ProtocolError(f"A server may not send on channel {channel}.")

    def stdin(self, payload: bytes) -> bytes:
        """Make the message for input."""
        return encode(STDIN, payload)

    def close_stdin(self) -> bytes:
        """Make the message that ends the input."""
        return encode(CLOSE, bytes((STDIN,)))

    def resize(self, width: int, height: int) -> bytes:
        """Make the message for the terminal's size in characters."""
        return encode(RESIZE, json.dumps({"Width": width, "Height": height}).encode())


def _parse_close(payload: bytes) -> Closed:
    if len(payload) != 1:
        raise ProtocolError("A close signal names one channel.")
    return Closed(payload[0])


def _parse_size(payload: bytes) -> Resized:
    try:
        size = json.loads(payload)
        return Resized(int(size["Width"]), int(size["Height"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"Not a terminal size: {payload[:100]!r}") from error


def _parse_exit(payload: bytes) -> Exit:
    try:
        status = dict(json.loads(payload))
    except (ValueError, TypeError) as error:
        raise ProtocolError(f"Not a Status: {payload[:100]!r}") from error
    if status.get("status") == "Success":
        return Exit(0, "")
    causes = (status.get("details") or {}).get("causes") or []
    codes = [cause.get("message", "") for cause in causes if cause.get("reason") == "ExitCode"]
    code = int(codes[0]) if codes and codes[0].isdigit() else None
    return Exit(code, str(status.get("message") or status.get("reason") or "unknown failure"))


def _exit_status(code: int) -> Manifest:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
