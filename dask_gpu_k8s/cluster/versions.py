"""Whether this process and the image of a scheduler fit together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from dask_gpu_k8s.errors import VersionMismatch

Version: TypeAlias = tuple[int, ...]
Packages: TypeAlias = Mapping[str, str | None]

COMPARED = ("python", "dask", "distributed")

IDENTITY_TAKES_N_WORKERS: Version = (2025, 4, 0)
"""Since this release a Client of distributed asks ``identity(n_workers=…)``; older schedulers refuse it."""


def parse_version(text: str) -> Version:
    """Read the release part of a version, e.g. ``(2026, 8, 0)``; empty if there is none."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def check_versions(client: Packages, scheduler: Packages, where: str) -> str:
    """Compare this process with the image of a scheduler.

    Dask warns as well, when a Client connects, and of more packages: but not whose versions to change.

    Parameters
    ----------
    client, scheduler : mapping
        Versions by package, as `distributed.versions.get_versions` gives them; ``None`` if not known.
    where : str
        The cluster, for the message.

    Returns
    -------
    str
        A warning that names both sides; empty if they agree in what matters.

    Raises
    ------
    VersionMismatch
        If they cannot talk to each other at all.
    """
    _check_protocol(client.get("distributed") or "", scheduler.get("distributed") or "", where)
    pairs = [(name, client.get(name), scheduler.get(name)) for name in COMPARED]
    differ = [
        f"{name} {_shown(name, here)} here and {_shown(name, there)} there"
        for name, here, there in pairs
        if here and there and _shown(name, here) != _shown(name, there)
    ]
    if not differ:
        return ""
    return (
        f"{where}: this process and the image of its scheduler have different versions: {', '.join(differ)}. "
        "What one side sends, the other may not understand. Use an image with the versions here, or install "
        "those of the image here."
    )


def _shown(name: str, version: str) -> str:
    # Of Python, what is pickled differs from minor to minor release.
    return ".".join(version.split(".")[:2]) if name == "python" else version


def _check_protocol(client: str, scheduler: str, where: str) -> None:
    here, there = parse_version(client), parse_version(scheduler)
    if not (here and there) or not there < IDENTITY_TAKES_N_WORKERS <= here:
        return
    raise VersionMismatch(
        f"distributed {client} here cannot talk to distributed {scheduler} on the scheduler: "
        "a Client sends it `identity(n_workers=…)`, which came with 2025.4.0",
        where=where,
        cure=f"Use an image with distributed {client}, or `pip install distributed=={scheduler} "
        f"dask=={scheduler}` here.",
        client=client,
        scheduler=scheduler,
    )
