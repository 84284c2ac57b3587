"""The images of the node, and the archive in which they come to it (as ``docker save`` would write it)."""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import Parser
from functools import cache as once
from pathlib import Path
from typing import IO
from zipfile import ZipFile

from dask_gpu_k8s.api.manifests import OPERATOR_IMAGE
from tests.e2e.node import build, layers, versions
from tests.e2e.node.commands import locked, run
from tests.e2e.node.layers import Layer
from tests.e2e.node.places import REPOSITORY, cache, remove_unused

ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONUNBUFFERED=1",
    "LANG=C.UTF-8",
    "HOME=/tmp",
)
# No CUDA here: a stand-in, so that real Pods that ask for GPUs are placed and join as workers.
CUDA_WORKER = b'#!/bin/sh\nexec dask worker "$@"\n'


@dataclass(frozen=True)
class Image:
    """An image: its names, and its layers, lowest first."""

    names: tuple[str, ...]
    layers: tuple[Layer, ...]
    user: str = ""
    entrypoint: tuple[str, ...] = ()
    environment: tuple[str, ...] = field(default=ENVIRONMENT)

    def config(self) -> bytes:
        """Write the configuration as the image format has it."""
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        settings = {
            "Env": list(self.environment),
            "Entrypoint": list(self.entrypoint) or None,
            "User": self.user,
            "WorkingDir": "/",
        }
        content = {
            "architecture": machine,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers]},
        }
        return json.dumps(content).encode()


def write_archive(images: Sequence[Image], file: IO[bytes]) -> None:
    """Write images into one archive, which holds each layer once; `file` need not be seekable."""
    entries = []
    with tarfile.open(fileobj=file, mode="w|") as archive:
        written = set()
        for image in images:
            config = image.config()
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(archive, name, config)
            for layer in image.layers:
                if layer.digest not in written:
                    archive.add(layer.tar, f"{layer.digest}.tar")
                    written.add(layer.digest)
            tars = [f"{layer.digest}.tar" for layer in image.layers]
            entries.append(
                {"Config": name, "RepoTags": [full_name(one) for one in image.names], "Layers": tars}
            )
        _add(archive, "manifest.json", json.dumps(entries).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def full_name(name: str) -> str:
    """Write a name as the container runtime knows it: ``dask:1`` is ``docker.io/library/dask:1``."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def pause() -> Image:
    """Make the image that keeps a pod's namespaces open."""
    layer = layers.files("pause", {"pause": build.pause().read_bytes()})
    return Image((versions.PAUSE_IMAGE,), (layer,), user="65535:65535", entrypoint=("/pause",))


def dask(version: str) -> Image:
    """Make the stand-in of the published image of this Dask: Dask alone, on Debian's Python."""
    python = layers.debian()
    layer = layers.pip(f"dask-{version}", [python], [f"dask=={version}", f"distributed=={version}"])
    tag = f"{versions.DASK_IMAGE}:{version}"
    minor = (python.root / "usr" / "bin" / "python3").readlink().name.removeprefix("python")
    return Image((tag, f"{tag}-py{minor}", f"dask:{version}"), (python, layer))


def rapids(name: str = versions.RAPIDS_IMAGE, dask_version: str = versions.OLDEST_DASK) -> Image:
    """Make the stand-in of a RAPIDS image: the Dask it ships, and a ``dask-cuda-worker``."""
    layer = layers.files("rapids", {"usr/local/bin/dask-cuda-worker": CUDA_WORKER})
    return Image((name,), (*dask(dask_version).layers, layer), user="1001:1000")


def project(wheel: Path, dask_version: str, extras: Sequence[str] = ()) -> Image:
    """Make the project's own image, for clusters and operator, from its wheel on this Dask.

    It runs as user 1000 and needs no writable file system of its own. What the wheel requires (and `extras`)
    is a layer by itself, so that a changed wheel changes a small layer only.
    """
    below = list(dask(dask_version).layers)
    metadata = _metadata(wheel)
    needed = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    pinned = [f"dask=={dask_version}", f"distributed=={dask_version}", *sorted([*needed, *extras])]
    below.append(layers.pip(f"needs-{dask_version}", below, pinned))
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    # Over Debian's Python alone: the wheel's own files are the same on every Dask.
    below.append(layers.pip("wheel", below[:1], [str(wheel)], key=content, dependencies=False))
    version = metadata["Version"]
    names = [f"{OPERATOR_IMAGE}:{version}-dask{dask_version}"]
    if dask_version == versions.NEWEST_DASK:
        names.append(f"{OPERATOR_IMAGE}:{version}")
    return Image(tuple(names), tuple(below), user="1000:1000")


def _metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@once
def build_wheel() -> Path:
    """Build the project's wheel from this checkout, unless the cache has it of the same files."""
    sources = [REPOSITORY / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    sources += sorted(
        path for path in (REPOSITORY / "dask_gpu_k8s").rglob("*") if path.suffix not in ("", ".pyc")
    )
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(REPOSITORY)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    directory = cache() / "wheels" / f"wheel-{digest.hexdigest()[:16]}"
    with locked(cache() / "wheel.lock"):
        if not directory.exists():
            remove_unused(directory.parent, "wheel")
            partial = directory.with_name("partial")
            shutil.rmtree(partial, ignore_errors=True)
            run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", partial, REPOSITORY)
            partial.rename(directory)
        os.utime(directory)
    return next(directory.glob("*.whl"))


def standard() -> list[Image]:
    """Make every image of the node: pause first, because no pod starts without it."""
    wheel = build_wheel()
    own = [project(wheel, version) for version in versions.DASK]
    newer = rapids(versions.NEWEST_RAPIDS_IMAGE, versions.NEWEST_DASK)
    return [pause(), rapids(), newer, *(dask(version) for version in versions.DASK), *own]


def load(images: Sequence[Image], containerd: Path) -> None:
    """Bring images into a running containerd; an image of the same name is replaced."""
    command = ["ctr", "--address", str(containerd), "--namespace", "k8s.io", "images", "import", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing:
        assert importing.stdin is not None
        with importing.stdin as pipe:
            write_archive(images, pipe)
    if importing.returncode:
        raise subprocess.CalledProcessError(importing.returncode, command)
