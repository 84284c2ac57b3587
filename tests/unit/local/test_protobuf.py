"""Kubernetes' protobuf encoding, read."""

from __future__ import annotations

import pytest

from dask_gpu_k8s.local.http.protobuf import BadProtobuf, decode


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def field(number: int, value: bytes | int | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(version: str, kind: str, raw: bytes) -> bytes:
    names = field(1, version) + field(2, kind)
    return b"k8s\x00" + field(1, names) + field(2, raw) + field(3, "") + field(4, "")


def test_a_config_map() -> None:
    meta = field(1, "a") + field(3, "ns") + field(5, "") + field(7, 0) + field(8, b"")
    meta += field(11, field(1, "k") + field(2, "v"))
    raw = (
        field(1, meta) + field(2, field(1, "x") + field(2, "1")) + field(3, field(1, "b") + field(2, b"\xff"))
    )
    raw += field(4, 0)
    assert decode(envelope("v1", "ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "ns", "labels": {"k": "v"}},
        "data": {"x": "1"},
        "binaryData": {"b": "/w=="},
        "immutable": False,
    }


def test_a_pod_with_inlined_parts() -> None:
    volume = field(1, "v") + field(2, field(2, b""))
    probe = field(1, field(2, field(1, "/") + field(2, field(1, 0) + field(2, 80)))) + field(4, 10)
    limits = field(1, field(1, "cpu") + field(2, field(1, "2")))
    container = field(1, "c") + field(2, "x") + field(8, limits) + field(10, probe) + field(5, "")
    spec = field(1, volume) + field(2, container) + field(4, -1) + field(11, 1)
    found = decode(envelope("v1", "Pod", field(2, spec)))["spec"]
    assert found["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert found["containers"][0]["livenessProbe"] == {
        "httpGet": {"path": "/", "port": 80},
        "periodSeconds": 10,
    }
    assert found["containers"][0]["resources"]["limits"] == {"cpu": "2"}
    assert found["terminationGracePeriodSeconds"] == -1
    assert found["hostNetwork"] is True


def test_times() -> None:
    stamp = field(1, 1767225600) + field(2, 123456000)
    lease = field(2, field(1, "me") + field(2, 15) + field(3, stamp))
    found = decode(envelope("coordination.k8s.io/v1", "Lease", lease))
    assert found["spec"]["acquireTime"] == "2026-01-01T00:00:00.123456Z"
    event = decode(envelope("v1", "Event", field(6, stamp)))
    assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"


def test_options_of_any_group_and_unknown_fields() -> None:
    found = decode(
        envelope("example.com/v9", "DeleteOptions", field(1, 0) + field(4, "Orphan") + field(99, 1))
    )
    assert found["gracePeriodSeconds"] == 0
    assert found["propagationPolicy"] == "Orphan"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "does not begin"),
        (envelope("v1", "CustomThing", b""), "CustomThing in version 'v1' is not read as protobuf here"),
        (envelope("v1", "Pod", b"\x0a\xff"), "a broken Pod"),
        (envelope("v1", "Pod", field(1, b"\x0b")), "no wire type 3"),
    ],
)
def test_what_cannot_be_read(body: bytes, words: str) -> None:
    with pytest.raises(BadProtobuf, match=words):
        decode(body)
