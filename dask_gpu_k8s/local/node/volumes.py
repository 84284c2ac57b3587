"""Secrets and ConfigMaps as files in a Pod's folder, and the mount paths by which its commands call them.

A process of this machine cannot be given a mount without root. So the files lie in the Pod's own folder,
and where a command or a variable of the container names a mount path, it gets the path of that folder.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dask_gpu_k8s.api.types import Manifest
from dask_gpu_k8s.local.node.environment import Lookup, NotConfigured

NOT_MOUNTED = "ContainerCreating"
"""What a container waits in while a volume of its Pod cannot be made."""

_DEFAULT_MODE = 0o644


class NotMounted(NotConfigured):
    """A volume names something that is not there yet."""

    def __init__(self, volume: str, why: str) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {why}', NOT_MOUNTED)


def holds_files(volume: Mapping[str, Any]) -> bool:
    """Say whether a volume is a Secret or a ConfigMap."""
    return "secret" in volume or "configMap" in volume


def write_volumes(pod: Manifest, folder: Path, lookup: Lookup) -> None:
    """Write the files of a Pod's Secrets and ConfigMaps, as they are now, a folder per volume.

    Raises
    ------
    NotMounted
        If one of them, or a key, is missing and not optional.
    """
    for volume in filter(holds_files, pod["spec"].get("volumes") or ()):
        target = folder / volume["name"]
        contents = list(_contents(volume, lookup))
        target.mkdir(parents=True, exist_ok=True)
        for path, data, mode in contents:
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            # Another file under the same name: whoever reads the old one reads all of it.
            fresh = file.with_name(f".{file.name}.new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(data)
            fresh.chmod(mode)
            fresh.replace(file)


def mounts(pod: Manifest, container: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return where the mount paths of a container's Secrets and ConfigMaps really are."""
    names = {volume["name"] for volume in pod["spec"].get("volumes") or () if holds_files(volume)}
    return {
        mount["mountPath"].rstrip("/"): str(folder / mount["name"] / mount.get("subPath", ""))
        for mount in container.get("volumeMounts") or ()
        if mount["name"] in names
    }


def translate(text: str, places: Mapping[str, str]) -> str:
    """Write the real places for mount paths, where they stand as whole parts of a path."""
    if not places:
        return text
    longest_first = sorted(map(re.escape, places), key=len, reverse=True)
    pattern = rf"(?<![\w.-])({'|'.join(longest_first)})(?![\w.-])"
    return re.sub(pattern, lambda match: places[match[1]], text)


def _contents(volume: Mapping[str, Any], lookup: Lookup) -> Iterator[tuple[str, bytes, int]]:
    """Yield path, content and mode of each file."""
    kind, source, name = _source(volume)
    found = lookup(kind, name)
    if found is None:
        if source.get("optional"):
            return
        raise NotMounted(volume["name"], f'{kind.lower()} "{name}" not found')
    data = _bytes(found, kind)
    mode = source.get("defaultMode", _DEFAULT_MODE)
    for item in source.get("items") or [{"key": key, "path": key} for key in data]:
        if item["key"] in data:
            yield item["path"], data[item["key"]], item.get("mode", mode)
        elif not source.get("optional"):
            raise NotMounted(volume["name"], f"references non-existent {kind.lower()} key: {item['key']}")


def _source(volume: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], str]:
    if "secret" in volume:
        return "Secret", volume["secret"], volume["secret"].get("secretName", "")
    return "ConfigMap", volume["configMap"], volume["configMap"].get("name", "")


def _bytes(obj: Manifest, kind: str) -> dict[str, bytes]:
    data = obj.get("data") or {}
    if kind == "ConfigMap":
        plain = {key: text.encode() for key, text in data.items()}
        return {**plain, **{key: _decode(text) for key, text in (obj.get("binaryData") or {}).items()}}
    return {key: _decode(text) for key, text in data.items()}


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
