"""Whether the Dask of this process can talk to the Dask of a scheduler."""

from __future__ import annotations

import re
from typing import TypeAlias

from dask_gpu_k8s.errors import VersionMismatch

Version: TypeAlias = tuple[int, ...]

IDENTITY_TAKES_N_WORKERS: Version = (2025, 4, 0)
"""Since this release a Client of distributed asks ``identity(n_workers=…)``; older schedulers refuse it."""


def parse_version(text: str) -> Version:
    """Read the release part of a version, e.g. ``(2026, 8, 0)``; empty if there is none."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def check_versions(client: str, scheduler: str, where: str) -> None:
    """Refuse a pair of versions of ``distributed`` that cannot talk to each other.

    Parameters
    ----------
    client, scheduler : str
        Version here and there.
    where : str
        The cluster, for the message.

    Raises
    ------
    VersionMismatch
    """
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
