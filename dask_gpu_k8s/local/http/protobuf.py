"""Read objects in Kubernetes' protobuf encoding, in which Go clients, kubectl too, send the built-in kinds.

Answers are always JSON, which those clients take as well. The numbers of the fields lie in ``protobuf.json``
(``scripts/make_protobuf.py`` writes it).

Source: the protocol buffers' documentation, "Encoding"; Kubernetes' documentation, "API concepts: Kubernetes
Protobuf encoding".
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import cache
from importlib import resources
from typing import Any

from dask_gpu_k8s.api.types import Manifest

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class BadProtobuf(ValueError):
    """The bytes are no object that can be read; the message says why."""


@cache
def _table() -> Manifest:
    text = resources.files("dask_gpu_k8s.local.http").joinpath("protobuf.json").read_text(encoding="utf-8")
    table: Manifest = json.loads(text)
    return table


def decode(body: bytes) -> Manifest:
    """Decode an object.

    Raises
    ------
    BadProtobuf
        If it is none, or of a kind that is not in the table.
    """
    if not body.startswith(_MAGIC):
        raise BadProtobuf("the body does not begin as Kubernetes' protobuf does")
    envelope = dict(_fields(body[len(_MAGIC) :]))
    names = {number: value.decode() for number, value in _fields(envelope.get(1, b""))}
    version, kind = names.get(1, ""), names.get(2, "")
    # Options are encoded under the group of whatever they are for.
    known = _table()["kinds"].get("v1/DeleteOptions" if kind == "DeleteOptions" else f"{version}/{kind}")
    if known is None:
        raise BadProtobuf(f"{kind} in version {version!r} is not read as protobuf here: send it as JSON")
    try:
        return {"apiVersion": version, "kind": kind, **_message(known, envelope.get(2, b""))}
    except (IndexError, UnicodeDecodeError, struct.error, KeyError) as error:
        raise BadProtobuf(f"a broken {kind}: {error}") from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (field number, value): a number, or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        if wire == _VARINT:
            value, at = _varint(data, at)
        elif wire == _BYTES:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, at = data[at : at + size], at + size
        else:
            raise BadProtobuf(f"there is no wire type {wire}")
        yield number, value


def _message(name: str, data: bytes) -> Manifest:
    """Decode a message into the object that its JSON would be."""
    descriptions: dict[str, str] = _table()["messages"][name]
    found: Manifest = {}
    for number, raw in _fields(data):
        description = descriptions.get(str(number))
        if description is None:
            continue  # a field of a newer Kubernetes
        key, kind, flags = description.split(" ")
        if "m" in flags:
            entry = dict(_fields(raw))
            found.setdefault(key, {})[entry.get(1, b"").decode()] = _value(kind, entry.get(2, b""))
            continue
        value = _value(kind, raw)
        if "r" in flags:
            found.setdefault(key, []).append(value)
        elif "i" in flags:
            found.update(value)
        elif value is not None and not ("o" in flags and value in ("", 0)):
            found[key] = value
    return found


def _value(kind: str, raw: Any) -> Any:
    reader = _READERS.get(kind)
    return reader(raw) if reader else _message(kind, raw)


def _integer(raw: int) -> int:
    """Read a signed number: negative ones are sent as if they had 64 bits."""
    return raw - (1 << 64) if raw >= 1 << 63 else raw


def _moment(raw: bytes) -> datetime | None:
    parts = dict(_fields(raw))
    if not parts:
        return None
    moment = datetime.fromtimestamp(_integer(parts.get(1, 0)), timezone.utc)
    return moment.replace(microsecond=parts.get(2, 0) // 1000)


def _time(raw: bytes) -> str | None:
    moment = _moment(raw)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _micro_time(raw: bytes) -> str | None:
    moment = _moment(raw)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_fields(raw))
    return str(parts.get(3, b"").decode()) if parts.get(1) else _integer(parts.get(2, 0))


def _quantity(raw: bytes) -> str:
    return str(dict(_fields(raw)).get(1, b"").decode())


def _fields_v1(raw: bytes) -> Any:
    return json.loads(dict(_fields(raw)).get(1, b"{}"))


_READERS: dict[str, Callable[[Any], Any]] = {
    "string": lambda raw: raw.decode(),
    "bytes": lambda raw: base64.b64encode(raw).decode(),
    "bool": bool,
    "int32": _integer,
    "int64": _integer,
    "double": lambda raw: struct.unpack("<d", raw)[0],
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.FieldsV1": _fields_v1,
    "intstr.IntOrString": _int_or_string,
    "resource.Quantity": _quantity,
}
