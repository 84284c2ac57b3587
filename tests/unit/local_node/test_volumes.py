"""Secrets and ConfigMaps as files, and the paths by which commands find them."""

from __future__ import annotations

import base64

import pytest

from dask_gpu_k8s.local.node.volumes import NotMounted, mounts, translate, write_volumes
from tests.unit.local_node.builders import container, make_pod

OBJECTS = {
    ("ConfigMap", "settings"): {"data": {"a.yaml": "a: 1"}, "binaryData": {"b": "AAE="}},
    ("Secret", "keys"): {"data": {"tls.key": base64.b64encode(b"k").decode(), "other": ""}},
}


def written(tmp_path, **volume):
    pod = make_pod(volumes=[{"name": "v", **volume}])
    write_volumes(pod, tmp_path, lambda kind, name: OBJECTS.get((kind, name)))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(tmp_path)): (path.read_bytes(), path.stat().st_mode & 0o777) for path in files
    }


@pytest.mark.parametrize(
    ("volume", "files"),
    [
        ({"configMap": {"name": "settings"}}, {"v/a.yaml": (b"a: 1", 0o644), "v/b": (b"\0\1", 0o644)}),
        (
            {"secret": {"secretName": "keys", "defaultMode": 0o400}},
            {"v/tls.key": (b"k", 0o400), "v/other": (b"", 0o400)},
        ),
        (
            {"secret": {"secretName": "keys", "items": [{"key": "tls.key", "path": "in/k", "mode": 0o440}]}},
            {"v/in/k": (b"k", 0o440)},
        ),
        ({"secret": {"secretName": "none", "optional": True}}, {}),
        ({"emptyDir": {}}, {}),
    ],
)
def test_files(tmp_path, volume, files):
    assert written(tmp_path, **volume) == files


@pytest.mark.parametrize(
    ("message", "volume"),
    [
        ('SetUp failed for volume "v" : secret "none" not found', {"secret": {"secretName": "none"}}),
        ('volume "v" : configmap "none" not found', {"configMap": {"name": "none"}}),
        (
            "references non-existent secret key: ca.crt",
            {"secret": {"secretName": "keys", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path, message, volume):
    with pytest.raises(NotMounted, match=message):
        written(tmp_path, **volume)


def test_a_file_of_before_is_replaced(tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "tls.key").write_text("old and longer")
    assert written(tmp_path, secret={"secretName": "keys"})["v/tls.key"][0] == b"k"


def test_mounts_of_a_container(tmp_path):
    mounted = [
        {"name": "v", "mountPath": "/keys/"},
        {"name": "v", "mountPath": "/one.key", "subPath": "tls.key"},
        {"name": "shm", "mountPath": "/dev/shm"},
    ]
    pod = make_pod(volumes=[{"name": "v", "secret": {"secretName": "keys"}}, {"name": "shm", "emptyDir": {}}])
    places = mounts(pod, container(volumeMounts=mounted), tmp_path)
    assert places == {"/keys": f"{tmp_path}/v", "/one.key": f"{tmp_path}/v/tls.key"}


PLACES = {"/keys": "/real/v", "/keys/more": "/real/w"}


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("/keys", "/real/v"),
        ("/keys/ca.crt", "/real/v/ca.crt"),
        ("--file=/keys/ca.crt", "--file=/real/v/ca.crt"),
        ("/keys/more/x:/keys/y", "/real/w/x:/real/v/y"),
        ("cat /keys/x; ls /keys", "cat /real/v/x; ls /real/v"),
        ("/keyspace/x", "/keyspace/x"),
        ("/keys.old", "/keys.old"),
        ("/my/keys/x", "/my/keys/x"),
        ("", ""),
    ],
)
def test_translate(text, translated):
    assert translate(text, PLACES) == translated
